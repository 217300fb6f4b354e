"""Pixels: the very last step from floats to what a viewer sees."""

from __future__ import annotations

import torch
from torch import Tensor


def to_uint8(frames: Tensor) -> Tensor:
    """`[T, 3, H, W]` float in [-1, 1] as `[T, H, W, 3]` uint8 on the CPU, rounded to the nearest value."""
    scaled = frames.float().clamp(-1.0, 1.0).add_(1.0).mul_(127.5).round_()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()
