"""Halving and doubling of resolution: height and width always, the number of frames where asked.

Letters: B videos, C channels, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inferix_wan.vae.history import History
from inferix_wan.vae.layers import CausalConv3d


def per_frame(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A 2-D layer applied to each frame: [B, C, T, H, W] -> [B, C', T, H', W']."""
    batch, channels, frames, height, width = x.shape
    y = layer(x.transpose(1, 2).reshape(batch * frames, channels, height, width))
    return y.reshape(batch, frames, *y.shape[1:]).transpose(1, 2)


class NearestDouble(nn.Module):
    """Repeats every pixel twice along both sides; keeps the memory order, which `nn.Upsample` does not."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]."""
        num, channels, height, width = x.shape
        y = x.movedim(1, -1)[:, :, None, :, None]  # [N, H, 1, W, 1, C]
        y = y.expand(num, height, 2, width, 2, channels).reshape(num, 2 * height, 2 * width, channels)
        return y.movedim(-1, 1)


class Downsample(nn.Module):
    """Halves height and width, and frames too if `temporal`."""

    def __init__(self, channels: int, *, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))
        self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1)) if temporal else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        """[B, C, T, H, W] -> [B, C, T', H/2, W/2]; the video's first frame stays alone, all others go in pairs."""
        x = per_frame(self.resample, x)
        if self.time_conv is None:
            return x
        extended = history.prepend(x, 1)
        if not history.is_fresh:
            return cast("Tensor", self.time_conv(extended))
        if x.shape[2] == 1:
            return x
        return torch.cat([x[:, :, :1], self.time_conv(x)], dim=2)


class Upsample(nn.Module):
    """Doubles height and width, and frames too if `temporal`; halves the channels."""

    def __init__(self, channels: int, *, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(NearestDouble(), nn.Conv2d(channels, channels // 2, 3, padding=1))
        self.time_conv = CausalConv3d(channels, 2 * channels, kernel_size=(3, 1, 1)) if temporal else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        """[B, C, T, H, W] -> [B, C/2, T', 2H, 2W]; the video's first frame stays single, each other becomes two."""
        if self.time_conv is not None:
            first, rest = (x[:, :, :1], x[:, :, 1:]) if history.is_fresh else (x[:, :, :0], x)
            # The first frame is no history for the second: official behaviour.
            x = torch.cat([first, self._double(rest, history)], dim=2)
        if (columns := history.columns) is None:
            return per_frame(self.resample, x)
        double, conv = self.resample[0], cast("nn.Conv2d", self.resample[1])

        def beside_others(frames: Tensor) -> Tensor:
            wide = columns.widened(double(frames))
            return F.conv2d(wide, conv.weight, conv.bias, padding=(1, 0))

        return per_frame(beside_others, x)

    def _double(self, x: Tensor, history: History) -> Tensor:
        """[B, C, T, H, W] -> [B, C, 2T, H, W]."""
        assert self.time_conv is not None
        extended = history.prepend(x, 2)
        if x.shape[2] == 0:
            return x
        y = cast("Tensor", self.time_conv(extended))  # [B, 2C, T, H, W]: channels of frame 2t, then those of 2t+1
        batch, channels, frames, height, width = x.shape
        y = y.permute(0, 2, 3, 4, 1).reshape(batch, frames, height, width, 2, channels)  # [B, T, H, W, 2, C]
        y = y.permute(0, 1, 4, 2, 3, 5).reshape(batch, 2 * frames, height, width, channels)
        return y.permute(0, 4, 1, 2, 3)
