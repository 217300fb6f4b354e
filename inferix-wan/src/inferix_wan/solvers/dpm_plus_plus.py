"""DPM-Solver++ (Lu et al. 2022, multistep, data prediction) for flow models: extrapolates from past clean estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from inferix_core.plan import Level
from torch import Tensor

from inferix_wan.solvers.config import DpmPlusPlusSolverConfig
from inferix_wan.solvers.multistep import NO_ESTIMATES, Estimates, estimated, log_snr, with_estimate

_NUM_STEPS_THAT_END_GENTLY = 15


class DpmPlusPlusSolver:
    """A block begins with an update of order 1 and ends with one. History: `Estimates`.

    Everything is computed in float32 with coefficients in float64.
    """

    def __init__(self, config: DpmPlusPlusSolverConfig) -> None:
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
        past: Estimates = NO_ESTIMATES if history is None else history
        estimates = with_estimate(past, clean, sigma=level.sigma, num_kept=self._config.order)
        order = min(self._order_at(level, target), len(estimates["cleans"]))
        moved = (target.sigma / level.sigma) * current
        for weight, direction in self._directions(estimates, target.sigma, order=order):
            moved = moved + ((1.0 - target.sigma) * weight) * direction
        return moved.to(latents.dtype), estimates

    def _order_at(self, level: Level, target: Level) -> int:
        left = self._config.steps_left(level.index, is_last=target.sigma == 0.0)
        if left == 1:
            return 1
        num_steps = self._config.num_steps
        if left == 2 and num_steps is not None and num_steps < _NUM_STEPS_THAT_END_GENTLY:
            return min(2, self._config.order)
        return self._config.order

    def _directions(self, estimates: Estimates, sigma: float, *, order: int) -> list[tuple[float, Tensor]]:
        """The derivatives of the clean estimate by log SNR, each with the integral that it is weighed with."""
        logs = [log_snr(one) for one in (*estimates["sigmas"], sigma)]
        h = logs[-1] - logs[-2]
        newest = estimates["cleans"][-1]
        value = -math.expm1(-h)
        if order == 1:
            return [(value, newest)]
        ratio = (logs[-2] - logs[-3]) / h
        slope = (newest - estimates["cleans"][-2]) / ratio
        linear = math.expm1(-h) / h + 1.0
        if order == 2:
            return [(value, newest), (value / 2 if self._config.variant == "midpoint" else linear, slope)]
        older_ratio = (logs[-3] - logs[-4]) / h
        older_slope = (estimates["cleans"][-2] - estimates["cleans"][-3]) / older_ratio
        bend = (slope - older_slope) / (ratio + older_ratio)
        # An estimate made in pure noise is infinitely far away: its slope and the bend are 0.
        share = ratio / (ratio + older_ratio)
        quadratic = 0.5 - (math.expm1(-h) + h) / h**2
        return [(value, newest), (linear, slope + share * (slope - older_slope)), (quadratic, bend)]
