"""The decoder `pond-light`.

Letters: L latents, h, w cells of the pond, T frames, H, W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from inferix_core.errors import ConfigError
from inferix_core.plan import Geometry
from inferix_core.specs import ComponentConfig
from torch import Tensor
from torch.nn import functional

_WATER = (-0.8, -0.2, 0.2)
_GLINT = (2.0, 2.4, 2.6)


class PondLight:
    """Implements `Decoder`. Its state is the last latent, from which the first new frame is half way."""

    def __init__(
        self, config: ComponentConfig, *, geometry: Geometry, device: torch.device, dtype: torch.dtype
    ) -> None:
        if geometry.latent_shape[0] != 2 or geometry.num_frames_per_latent != 2:
            raise ConfigError(
                "decoder: 'pond-light' decodes the latents of the model 'pond', height and speed of the water: "
                "choose the decoder that belongs to the model."
            )
        self._size = (geometry.frame_height, geometry.frame_width)
        self._water = torch.tensor(_WATER, device=device).view(3, 1, 1)
        self._glint = torch.tensor(_GLINT, device=device).view(3, 1, 1)

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `Decoder.decode`."""
        heights: list[Tensor] = []
        for height in latents[:, 0].float():
            heights += [height] if state is None else [0.5 * (state + height), height]
            state = height
        water = torch.stack(heights)  # [T, h, w]
        slope = 2.0 * water - water.roll(1, dims=-1) - water.roll(1, dims=-2)
        bright = functional.interpolate(slope.unsqueeze(1), size=self._size, mode="bilinear")  # [T, 1, H, W]
        return (self._water + self._glint * bright).clamp(-1.0, 1.0), state
