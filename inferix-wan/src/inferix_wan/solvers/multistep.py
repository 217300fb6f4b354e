"""What multi-step solvers share: the history of a block, and log signal-to-noise ratios."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
from torch import Tensor


class Estimates(TypedDict):
    """The last clean estimates of a block, oldest first, float32, and the shares of noise at which they were made."""

    cleans: tuple[Tensor, ...]
    sigmas: tuple[float, ...]


NO_ESTIMATES = Estimates(cleans=(), sigmas=())


def estimated(latents: Tensor, prediction: Tensor, *, sigma: float) -> Tensor:
    """The clean estimate of float32 `latents` and the flow that was predicted for them, float32."""
    return latents - sigma * prediction.to(torch.float32)


def with_estimate(past: Estimates, clean: Tensor, *, sigma: float, num_kept: int) -> Estimates:
    """The history with one estimate more, of which the last `num_kept` stay."""
    return Estimates(
        cleans=(*past["cleans"], clean)[-num_kept:],
        sigmas=(*past["sigmas"], sigma)[-num_kept:],
    )


def log_snr(sigma: float) -> float:
    """The logarithm of signal over noise at a share of noise: minus infinity at pure noise, infinity at clean."""
    if sigma >= 1.0:
        return -math.inf
    if sigma <= 0.0:
        return math.inf
    return math.log(1.0 - sigma) - math.log(sigma)
