"""How like the frames of two runs are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

_PEAK = 255.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """PSNR in decibels over all blocks and for each; None where the frames are the same."""

    psnr: float | None
    psnr_by_block: tuple[float | None, ...]

    @property
    def is_same(self) -> bool:
        """Whether every frame is the same, bit for bit."""
        return self.psnr is None


def mean_squared_error(frames: Tensor, reference: Tensor) -> float:
    """Of two blocks of uint8 frames of one shape, in squared steps of 0 to 255."""
    difference = frames.float() - reference.float()
    return float(difference.square().mean())


def likeness(errors: Sequence[float]) -> Likeness:
    """From the mean squared error of each block."""
    return Likeness(_psnr(fmean(errors)), tuple(_psnr(error) for error in errors))


def _psnr(error: float) -> float | None:
    return 10.0 * math.log10(_PEAK * _PEAK / error) if error > 0.0 else None
