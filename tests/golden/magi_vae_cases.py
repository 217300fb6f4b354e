"""Runners of the golden case of MAGI-1's VAE: `CASES` is a list of (pattern, runner).

Where the original decodes a single latent it shows the first of its four frames, also in the last tile of a longer
video, and it encodes a single frame as four. Both rules are made here around our network: our decoder shows every
frame, since a stream has as many wherever it is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from inferix_magi.decoder import LATENT_SCALE
from inferix_magi.vae.config import from_official
from inferix_magi.vae.model import MagiVae
from inferix_magi.vae.tiling import Axes, Axis, decode_tiled, encode_tiled
from torch import Tensor

Tensors = dict[str, Tensor]


def run_vae(case: Mapping[str, Any], tensors: Tensors) -> Tensors:
    """Every call of the case: whole videos, tiled ones, and the pipeline's pixels and chunks."""
    vae = MagiVae(from_official(case["config"]["ddconfig"]))
    vae.load_state_dict({name.removeprefix("sd."): value for name, value in tensors.items() if name.startswith("sd.")})
    official = OfficialVae(vae.requires_grad_(False))
    runners = {
        "encode": _encoded,
        "decode": _decoded,
        "tiled_encode": _encoded_in_tiles,
        "tiled_decode": _decoded_in_tiles,
        "VaeHelper.encode * scale_factor": _encoded_pixels,
        "VaeHelper.decode(latent / scale_factor)": _decoded_chunk,
    }
    outputs: Tensors = {}
    for call in case["call"]["calls"]:
        if call["kind"] in runners:
            made = runners[call["kind"]](official, call, {name: tensors[name] for name in tensors})
            outputs |= {f"{call['key']}{name}": value for name, value in made.items()}
    return outputs


class OfficialVae:
    """The network under the original's rules for single frames and latents."""

    def __init__(self, vae: MagiVae) -> None:
        self.vae = vae
        self.config = vae.config

    def moments(self, frames: Tensor) -> Tensor:
        """Mean and logarithm of the variance; a single frame is held for one latent."""
        held = frames.expand(-1, -1, self.config.patch_frames, -1, -1) if frames.shape[2] == 1 else frames
        return self.vae.moments(held)

    def encode(self, frames: Tensor) -> Tensor:
        """The mean."""
        return self.moments(frames).chunk(2, dim=1)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """The frames; the first one of a single latent."""
        frames = self.vae.decode(latents)
        return frames[:, :, :1] if latents.shape[2] == 1 else frames

    def axes(self, call: Mapping[str, Any]) -> Axes:
        """How the case's tiles are cut."""
        side, overlap = self.config.patch_size, call.get("spatial_tile_overlap_factor", 0.25)
        rows, columns = (call[f"tile_sample_min_{name}"] // side for name in ("height", "width"))
        if not call["allow_spatial_tiling"]:
            rows = columns = 2**20
        length = call["tile_sample_min_length"] // self.config.patch_frames
        return (
            Axis(length, int(length * call["temporal_tile_overlap_factor"]), self.config.patch_frames),
            Axis(rows, int(rows * overlap), side),
            Axis(columns, int(columns * overlap), side),
        )


def _encoded(vae: OfficialVae, call: Mapping[str, Any], given: Tensors) -> Tensors:
    moments = vae.moments(given[f"{call['key']}video"])
    mean, log_variance = moments.chunk(2, dim=1)
    return {"moments": moments, "latent": mean, "std": (0.5 * log_variance.clamp(-30, 20)).exp()}


def _decoded(vae: OfficialVae, call: Mapping[str, Any], given: Tensors) -> Tensors:
    return {"video": vae.decode(given[f"{call['key']}latent"])}


def _encoded_in_tiles(vae: OfficialVae, call: Mapping[str, Any], given: Tensors) -> Tensors:
    return {"out": encode_tiled(vae.encode, given[f"{call['key']}in"], vae.axes(call))}


def _decoded_in_tiles(vae: OfficialVae, call: Mapping[str, Any], given: Tensors) -> Tensors:
    return {"out": decode_tiled(vae.decode, given[f"{call['key']}in"], vae.axes(call))}


def _encoded_pixels(vae: OfficialVae, call: Mapping[str, Any], given: Tensors) -> Tensors:
    frames = given[f"{call['key']}uint8_video"].float() / 127.5 - 1.0
    return {"latent": encode_tiled(vae.encode, frames, vae.axes(call)) * LATENT_SCALE}


def _decoded_chunk(vae: OfficialVae, call: Mapping[str, Any], given: Tensors) -> Tensors:
    frames = decode_tiled(vae.decode, given[f"{call['key']}latent"] / LATENT_SCALE, vae.axes(call))[0].transpose(0, 1)
    return {"frames": frames, "frames_uint8": (frames * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)}


CASES = [("vae_vit*", run_vae)]
INPUTS = [
    (
        "vae_vit*",
        (
            "enc?.video",
            "dec?.latent",
            "tile?.in",
            "pipe_enc?.uint8_video",
            "pipe_dec?.latent",
            "bf16.*",  # informative: the original's bfloat16
        ),
    )
]
