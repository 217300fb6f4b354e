"""Runners of the golden cases of TAEHV: `CASES` and `TABLES` are lists of (pattern, runner)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from inferix_wan.checkpoints.shapes import tiny_vae_tensors
from inferix_wan.tiny_vae.config import TinyVaeConfig
from inferix_wan.tiny_vae.model import State, TinyVae
from torch import Tensor
from wan_outputs import Tensors, weights_of


def run_tiny_vae(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """A clip decoded whole and in pieces, and one encoded in pieces."""
    given, call = case["constructor"], case["call"]
    vae = TinyVae(TinyVaeConfig(base_dim=given["base_dim"], latent_dim=given["latent_channels"]))
    vae.load_state_dict(weights_of(tensors), strict=True)
    vae.use_channels_last()
    state: State | None = None
    streamed, latents = [], []
    for piece in torch.split(tensors["in.latents"], call["chunks_latents"]):
        frames, state = vae.decode(piece, state)
        streamed.append(frames)
    state = None
    for piece in torch.split(tensors["in.frames"] * 2 - 1, call["chunks_frames"]):
        made, state = vae.encode(piece, state)
        latents.append(made)
    return {
        "video": vae.decode(tensors["in.latents"])[0] * 0.5 + 0.5,
        "video_streamed": torch.cat(streamed) * 0.5 + 0.5,
        "latents": torch.cat(latents),
    }


def run_manifest(entry: Mapping[str, Any], table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tensors that we expect of `taew2_1.pth`; what else the manifest says is copied."""
    given = table["constructor"]
    config = TinyVaeConfig(base_dim=given["base_dim"], latent_dim=given["latent_channels"])
    tensors = {name: [list(shape), "float32"] for name, shape in tiny_vae_tensors(config).items()}
    with torch.device("meta"):
        names = {name: tuple(value.shape) for name, value in TinyVae(config).state_dict().items()}
    return {**table, "tensors": tensors if names == tiny_vae_tensors(config) else {}}


CASES: list[tuple[str, Callable[..., dict[str, Tensor]]]] = [("taew2_1_*", run_tiny_vae)]
TABLES: list[tuple[str, Callable[..., Mapping[str, Any]]]] = [("manifest_taew2_1.*", run_manifest)]
