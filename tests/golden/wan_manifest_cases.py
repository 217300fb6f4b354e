"""Runners of the manifests of official checkpoints: `TABLES` is a list of (pattern, runner).

Each builds the network at full size on the meta device and lists its state dict, under the official names. What else
a manifest says is copied, and so are the tensors that our network does without by rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import torch
from inferix_core.errors import UnsupportedError
from inferix_wan.image import ClipConfig
from inferix_wan.image.clip import ClipNetwork
from inferix_wan.image.clip import network_name as clip_name
from inferix_wan.text import Umt5Config
from inferix_wan.text.umt5 import Umt5Network
from inferix_wan.text.umt5 import network_name as umt5_name
from inferix_wan.transformer.official import SELF_FORCING, WAN21_I2V_14B
from inferix_wan.transformer.transformer import WanTransformer
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
from inferix_wan.weights import Rename
from outcome import Unsupported
from torch import nn
from wan_rollout import transformer_config

Table = Mapping[str, Any]


def run_transformer_manifest(entry: Table, table: Table) -> Table:
    """The transformer that the constructor describes, under the names of a Wan folder."""
    given = dict(table["constructor"])
    config = transformer_config({**given, "model_type": "t2v"})
    if given.get("model_type") == "i2v":
        config = replace(config, image_dim=WAN21_I2V_14B.image_dim)
    with torch.device("meta"):
        return _listed(WanTransformer(config), table, rename=str)


def run_generator_manifest(entry: Table, table: Table) -> Table:
    """The 1.3B transformer under the names of a Self Forcing or CausVid file."""
    with torch.device("meta"):
        return _listed(WanTransformer(SELF_FORCING), table, rename=_without_model)


def run_vae_manifest(entry: Table, table: Table) -> Table:
    """The VAE."""
    with torch.device("meta"):
        return _listed(WanVAE(VaeConfig()), table, rename=str)


def run_umt5_manifest(entry: Table, table: Table) -> Table:
    """The text encoder, whose network has the names of transformers."""
    try:
        with torch.device("meta"):
            return _listed(Umt5Network(Umt5Config()), table, rename=umt5_name)
    except UnsupportedError as error:
        raise Unsupported(str(error)) from error


def run_clip_manifest(entry: Table, table: Table) -> Table:
    """The image tower of the image encoder; the text tower and the way from tokens to a score are not ours."""
    with torch.device("meta"):
        return _listed(ClipNetwork(ClipConfig()), table, rename=clip_name)


_PREFIX = "model."

Runner = Callable[[Table, Table], Table]
TABLES: list[tuple[str, Runner]] = [
    ("manifest_wan21_[it]2v_*", run_transformer_manifest),
    ("manifest_*_generator.*", run_generator_manifest),
    ("manifest_wan21_vae.*", run_vae_manifest),
    ("manifest_umt5_*", run_umt5_manifest),
    ("manifest_clip_*", run_clip_manifest),
]


def _without_model(name: str) -> str:
    """The name without the trainer's prefix, which every name of such a file has."""
    return name[len(_PREFIX) :] if name.startswith(_PREFIX) else ""


def _listed(network: nn.Module, table: Table, *, rename: Rename) -> Table:
    """The table as our network has it, with what it has besides."""
    ours = {
        name: [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in network.state_dict().items()
    }
    tensors = {}
    for official, described in table["tensors"].items():
        name = rename(official)
        if name is None:
            tensors[official] = described
        elif name in ours:
            tensors[official] = ours.pop(name)
    tensors |= {f"ours: {name}": described for name, described in ours.items()}
    return {
        **table,
        "tensors": tensors,
        "num_tensors": len(tensors),
        "num_params": sum(prod(shape) for shape, _ in tensors.values()),
    }
