"""Times and captions to vectors.

Letters: B worlds, L latents, T caption tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from inferix_core.patching import patches
from torch import Tensor, nn

from inferix_magi.transformer.config import TransformerConfig

_TIME_SCALE = 1000.0
_MAX_PERIOD = 10000.0


def sinusoid(times: Tensor, *, dim: int) -> Tensor:
    """[...] float32 times -> [..., dim] float32: cosines first, then sines, of falling frequencies."""
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=times.device)
    frequencies = torch.exp(-math.log(_MAX_PERIOD) * steps / half)
    angles = times.unsqueeze(-1) * frequencies * _TIME_SCALE  # in this order: float32 rounds, and angles are large
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeEmbedder(nn.Module):
    """Times, and sizes of steps, to vectors."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.freq_dim = config.freq_dim
        self.mlp = nn.Sequential(
            nn.Linear(config.freq_dim, config.condition_dim),
            nn.SiLU(),
            nn.Linear(config.condition_dim, config.condition_dim),
        )

    def forward(self, times: Sequence[Sequence[float]], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """[B, L] -> [B, L, condition_dim] float32; sinusoids are rounded to `dtype` before."""
        encoded = sinusoid(torch.tensor(times, dtype=torch.float32), dim=self.freq_dim).to(dtype)
        embedded: Tensor = self.mlp(encoded.float().to(device, non_blocking=True))
        return embedded


class CaptionEmbedder(nn.Module):
    """Captions to what layers attend to, and a learned empty caption, of which two rows also say if there is text."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.null_caption_embedding = nn.Parameter(torch.zeros(config.text_len, config.text_dim))
        self.y_proj_xattn = nn.Sequential(nn.Linear(config.text_dim, config.text_hidden_dim), nn.SiLU())
        self.y_proj_adaln = nn.Sequential(nn.Linear(config.text_dim, config.condition_dim))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., T, text_dim] of the text encoder -> [..., T, text_hidden_dim], in the weights' precision."""
        weight = self.null_caption_embedding
        tokens: Tensor = self.y_proj_xattn(rows.to(weight.device, weight.dtype))
        return tokens

    def presence(self) -> tuple[Tensor, Tensor]:
        """Two vectors [condition_dim]: there is a caption, and there is none. They do not depend on the caption."""
        rows: Tensor = self.y_proj_adaln(self.null_caption_embedding[-2:])
        return rows[0], rows[1]


def embedded_patches(latents: Tensor, convolution: nn.Conv3d) -> Tensor:
    """[B, L, C, h, w] -> tokens [B, N, dim] by a convolution whose stride is its kernel, in its precision."""
    weight = convolution.weight
    rows, columns = weight.shape[3:]
    return F.linear(patches(latents.to(weight.dtype), patch_size=(rows, columns)), weight.flatten(1))
