"""Runners of the manifests of official checkpoints: `TABLES` is a list of (pattern, runner).

Each builds the network at full size on the meta device and lists its state dict; what else a manifest says is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from inferix_wan.transformer.official import SELF_FORCING, WAN21_I2V_14B
from inferix_wan.transformer.transformer import WanTransformer
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
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
        return _listed(WanTransformer(config), table, prefix="")


def run_generator_manifest(entry: Table, table: Table) -> Table:
    """The 1.3B transformer under the names of a Self Forcing or CausVid file."""
    with torch.device("meta"):
        return _listed(WanTransformer(SELF_FORCING), table, prefix="model.")


def run_vae_manifest(entry: Table, table: Table) -> Table:
    """The VAE."""
    with torch.device("meta"):
        return _listed(WanVAE(VaeConfig()), table, prefix="")


Runner = Callable[[Table, Table], Table]
TABLES: list[tuple[str, Runner]] = [
    ("manifest_wan21_[it]2v_*", run_transformer_manifest),
    ("manifest_*_generator.*", run_generator_manifest),
    ("manifest_wan21_vae.*", run_vae_manifest),
]


def _listed(network: nn.Module, table: Table, *, prefix: str) -> Table:
    tensors = {
        f"{prefix}{name}": [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in network.state_dict().items()
    }
    return {
        **table,
        "tensors": tensors,
        "num_tensors": len(tensors),
        "num_params": sum(value.numel() for value in network.state_dict().values()),
    }
