"""The layers that the encoder and the decoder are built from.

Letters: T frames of one video, C channels, H height, W width.
Activations are [T, C, H, W] in `channels_last` memory order.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from inferix_wan.tiny_vae.memory import Memory
from inferix_wan.vae.resample import NearestDouble

LATENT_BOUND = 3.0
"""Latents are pressed between plus and minus this before they are decoded."""


def convolution(in_channels: int, out_channels: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution inside each frame."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias)


class SoftClamp(nn.Module):
    """Presses values smoothly between plus and minus `LATENT_BOUND`."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return torch.tanh(x / LATENT_BOUND) * LATENT_BOUND


class MemoryBlock(nn.Module):
    """A residual block over each frame and the one before it, which is all that time is to this network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            convolution(2 * channels, channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels),
        )

    def remember(self, x: Tensor, memory: Memory) -> Tensor:
        """[T, C, H, W] -> the same."""
        return torch.relu(self.conv(torch.cat([x, memory.before(x)], dim=1)) + x)


class PoolTime(nn.Module):
    """Makes one frame of `stride`."""

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(stride * channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[stride * T, C, H, W] -> [T, C, H, W]."""
        frames, channels, height, width = x.shape
        y = x.movedim(1, -1).reshape(frames // self.stride, self.stride, height, width, channels)
        y = y.permute(0, 2, 3, 1, 4).reshape(-1, height, width, self.stride * channels)
        return cast("Tensor", self.conv(y.movedim(-1, 1)))


class Grow(nn.Module):
    """Makes `stride` frames of one, and doubles height and width.

    The official order is the other way round. A 1x1 convolution gives the same before the doubling, for a quarter.
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, stride * channels, 1, bias=False)
        self._double = NearestDouble()

    def forward(self, x: Tensor) -> Tensor:
        """[T, C, H, W] -> [stride * T, C, 2H, 2W]."""
        y = cast("Tensor", self.conv(x)).movedim(1, -1)  # [T, H, W, stride * C]: channels of one frame, then the next
        y = y.reshape(*y.shape[:-1], self.stride, x.shape[1]).permute(0, 3, 1, 2, 4).flatten(0, 1)
        return cast("Tensor", self._double(y.movedim(-1, 1)))
