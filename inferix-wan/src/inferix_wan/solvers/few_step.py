"""The update rule of few-step models: predict the clean block, noise it again to the next level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inferix_core.plan import Level
from torch import Tensor

from inferix_wan.config import FewStepSolverConfig
from inferix_wan.solvers.flow import add_noise, clean_from_flow


class FewStepSolver:
    """Keeps no history; the clean estimate is made in float64, the noise mixed in with a float32 share."""

    def __init__(self, config: FewStepSolverConfig) -> None:
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
        """See `Solver.update`; a target without noise takes the clean estimate itself."""
        clean = clean_from_flow(latents, prediction, sigma=level.sigma)
        if target.sigma == 0.0:
            return clean, None
        return add_noise(clean, noise(), sigma=target.sigma), None
