"""Frames of any size, as people have them, to frames of a model.

Letters: T frames, h, w their height and width, H, W those of the model.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from inferix_core.contracts.model import Fit
from inferix_core.errors import ConfigError

_BLACK = -1.0


def fitted_frames(frames: Tensor, *, height: int, width: int, fit: Fit) -> Tensor:
    """Frames [T, h, w, 3] uint8 -> [T, 3, H, W] float32 in [-1, 1] on the CPU, H `height` and W `width`.

    Cut or framed, the picture keeps its aspect ratio and its centre. Frames of that size already are not resampled.
    Raises `ConfigError` for no frames, frames of another layout, and an unknown `fit`.
    """
    _check(frames, fit)
    fitted = torch.empty(len(frames), 3, height, width)  # filled one by one: a video is there once
    for place, frame in zip(fitted, frames.cpu(), strict=True):
        place.copy_(_fitted(frame, height=height, width=width, fit=fit))
    return fitted


def _fitted(frame: Tensor, *, height: int, width: int, fit: Fit) -> Tensor:
    """[h, w, 3] uint8 -> [3, H, W]."""
    pixels = frame.permute(2, 0, 1).float() / 127.5 - 1.0
    rows, columns = _resized(pixels.shape[1], pixels.shape[2], height=height, width=width, fit=fit)
    if (rows, columns) != tuple(pixels.shape[1:]):
        resized = F.interpolate(pixels.unsqueeze(0), (rows, columns), mode="bicubic", antialias=True)
        pixels = resized[0].clamp(-1.0, 1.0)
    top, left = (height - rows) // 2, (width - columns) // 2  # negative where something is cut
    return F.pad(pixels, (left, width - columns - left, top, height - rows - top), value=_BLACK)


def _resized(rows: int, columns: int, *, height: int, width: int, fit: Fit) -> tuple[int, int]:
    """The size before anything is cut off or laid along."""
    if fit == "stretch":
        return height, width
    scales = (height / rows, width / columns)
    scale = max(scales) if fit == "crop" else min(scales)
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def _check(frames: Tensor, fit: Fit) -> None:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != torch.uint8 or 0 in frames.shape:
        raise ConfigError(
            f"A picture or video was given as {str(frames.dtype).removeprefix('torch.')} {list(frames.shape)}, but "
            "uint8 [frames, height, width, 3] is accepted, with at least one frame: red, green and blue from 0 to 255."
        )
    if fit not in get_args(Fit):
        raise ConfigError(
            f"A picture was to be fitted by '{fit}': use 'crop' to cut two sides off, 'pad' to lay black bars along "
            "two sides, or 'stretch' to give its aspect ratio up."
        )
