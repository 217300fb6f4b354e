"""The `velocity` solver: Euler steps along a predicted velocity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from inferix_core.plan import Level
from torch import Tensor

from inferix_magi.config import VelocityConfig


class VelocitySolver:
    """`x + v * (t_target - t_level)` in float32, cast to the dtype of the latents at the end. Draws no noise."""

    def __init__(self, config: VelocityConfig) -> None:
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
    ) -> tuple[Tensor, None]:
        """See `Solver.update`."""
        moved = latents.float() + prediction.float() * time_difference(level, target)
        return moved.to(latents.dtype), None


def time_difference(level: Level, target: Level) -> float:
    """The time between two levels as float32 arithmetic gives it."""
    before, after = (torch.tensor(one.time, dtype=torch.float32) for one in (level, target))
    return float(after - before)
