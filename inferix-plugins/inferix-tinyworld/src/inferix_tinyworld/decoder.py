"""Tinyworld's latents to frames, and frames to latents.

Letters: L latents, T frames.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from inferix_core.contracts.decoder import Columns
from inferix_core.errors import CheckpointError
from inferix_core.plan import Geometry
from inferix_wan.vae.config import VaeConfig
from inferix_wan.vae.model import State, WanVAE
from inferix_wan.weights import load_weights
from torch import Tensor

from inferix_tinyworld.config import TinyWorldVaeConfig
from inferix_tinyworld.shipped import VAE, weights_path


class TinyWorldDecoder:
    """A Wan VAE of tiny dims whose history lives in its state. Implements `FrameEncoder` and `SplitDecoder`."""

    def __init__(
        self, config: TinyWorldVaeConfig, *, geometry: Geometry, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._vae = load_vae(weights_path(config.checkpoint, embedded=VAE), device=device, dtype=dtype)
        self._device = device

    def decode(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `Decoder.decode`."""
        frames, new_state = self._vae.decode(latents.unsqueeze(0), state)
        return frames[0], new_state

    @torch.no_grad()
    def encode(self, frames: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `FrameEncoder.encode`. The frames may be on any device; latents are on the decoder's.

        Raises `ValueError` for frames of a size that the spatial stride does not divide.
        """
        latents, new_state = self._vae.encode(frames.to(self._device).unsqueeze(0), state)
        return latents[0], new_state

    def decode_columns(self, latents: Tensor, state: State | None, *, columns: Columns) -> tuple[Tensor, State]:
        """See `SplitDecoder.decode_columns`."""
        frames, new_state = self._vae.decode(latents.unsqueeze(0), state, columns=columns)
        return frames[0], new_state


def load_vae(path: Path, *, device: torch.device, dtype: torch.dtype) -> WanVAE:
    """The VAE whose shape stands in the .json beside the weights. Raises `CheckpointError` if either cannot be used."""
    config_path = path.with_suffix(".json")
    try:
        stored: dict[str, Any] = json.loads(config_path.read_text())
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
        config = VaeConfig(**fields)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"The shape of the VAE is read from '{config_path}', which cannot be used: {error}. A checkpoint of "
            "tinyworld comes with a .json of the same name beside it; the training stage writes both."
        ) from error
    vae = WanVAE(config)
    load_weights(vae, path, device=device, dtype=dtype)
    return vae.use_channels_last()
