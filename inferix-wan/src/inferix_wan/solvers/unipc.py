"""UniPC (Zhao et al. 2023, B(h) = exp(h) - 1, data prediction) for flow models: predict, and correct afterwards.

Letters: L latents, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from inferix_core.plan import Level
from torch import Tensor

from inferix_wan.solvers.config import UniPCSolverConfig
from inferix_wan.solvers.multistep import NO_ESTIMATES, Estimates, estimated, log_snr, with_estimate


class UniPCSolver:
    """Each update first corrects the latents that it is given with the network's verdict on them, then moves on.

    A block begins with an update of order 1 and ends with one. History: `Estimates`, the latents of the last update
    after their correction, and its order. Everything is computed in float32 with coefficients in float64.
    """

    def __init__(self, config: UniPCSolverConfig) -> None:
        self._config = config

    def update(
        self,
        latents: Tensor,
        prediction: Tensor,
        *,
        level: Level,
        target: Level,
        noise: Callable[[], Tensor],
        history: Any,
    ) -> tuple[Tensor, Any]:
        """See `Solver.update`; draws no noise."""
        current = latents.to(torch.float32)
        clean = estimated(current, prediction, sigma=level.sigma)
        past: Estimates = NO_ESTIMATES if history is None else history["estimates"]
        if history is not None:
            step = _Step(past, level.sigma, order=history["order"])
            current = step.corrected(history["latents"], clean)
        estimates = with_estimate(past, clean, sigma=level.sigma, num_kept=self._config.order)
        left = self._config.steps_left(level.index, is_last=target.sigma == 0.0)
        order = min(self._config.order, left, _num_finite(estimates))
        moved = _Step(estimates, target.sigma, order=order).predicted(current)
        return moved.to(latents.dtype), {"estimates": estimates, "latents": current, "order": order}


class _Step:
    """The coefficients of one step from the newest estimate to the share of noise `sigma`."""

    def __init__(self, past: Estimates, sigma: float, *, order: int) -> None:
        self._newest, *older = past["cleans"][::-1][:order]
        start, *before = past["sigmas"][::-1][:order]
        h = log_snr(sigma) - log_snr(start)
        self._ratios = [(log_snr(one) - log_snr(start)) / h for one in before]
        self._slopes = [(clean - self._newest) / ratio for clean, ratio in zip(older, self._ratios, strict=True)]
        self._order = order
        self._h = h
        self._keep = sigma / start
        self._blend = -(1.0 - sigma) * math.expm1(-h)

    def predicted(self, latents: Tensor) -> Tensor:
        """The latents at the step's end, from those at its start."""
        weights = [0.5] if self._order == 2 else self._weights(self._order - 1)
        return self._moved(latents, zip(weights, self._slopes, strict=True))

    def corrected(self, latents: Tensor, clean: Tensor) -> Tensor:
        """The latents at the step's end again, now that a `clean` estimate was made there."""
        weights = [0.5] if self._order == 1 else self._weights(self._order)
        return self._moved(latents, zip(weights, [*self._slopes, clean - self._newest], strict=True))

    def _moved(self, latents: Tensor, weighted: Iterable[tuple[float, Tensor]]) -> Tensor:
        moved = self._keep * latents + self._blend * self._newest
        for weight, slope in weighted:
            moved = moved + (self._blend * weight) * slope
        return moved

    def _weights(self, count: int) -> Sequence[float]:
        """The solution of the first `count` order conditions of the paper."""
        ratios = np.array([*self._ratios, 1.0][:count], dtype=np.float64)
        sides, phi, factorial = [], math.expm1(-self._h) / -self._h - 1.0, 1.0
        for power in range(1, count + 1):
            sides.append(phi * factorial / math.expm1(-self._h))
            factorial *= power + 1
            phi = phi / -self._h - 1.0 / factorial
        solved: list[float] = np.linalg.solve(ratios[None, :] ** np.arange(count)[:, None], np.array(sides)).tolist()
        return solved


def _num_finite(estimates: Estimates) -> int:
    """The newest estimates that can be used together: what was made in pure noise counts only if it is the newest."""
    return 1 + sum(sigma < 1.0 for sigma in estimates["sigmas"][:-1])
