"""The planner `pond` and the solver `direct`: a block is computed in one pass and committed in a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from inferix_core.errors import PlanError
from inferix_core.plan import Entry, Level, Op, Pass, Prefill, Progress, Update
from inferix_core.specs import ComponentConfig

from inferix_example.config import PondPlannerConfig

if TYPE_CHECKING:
    from torch import Tensor

NOISE = Level(index=0, time=1.0, sigma=1.0)
CLEAN = Level(index=1, time=0.0, sigma=0.0)


class PondPlanner:
    """Implements `Planner`."""

    levels: Sequence[Level] = (NOISE, CLEAN)

    def __init__(self, config: PondPlannerConfig) -> None:
        self.num_block_latents = config.num_block_latents

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`."""
        block, size = progress.num_finished, self.num_block_latents
        if progress.horizon is not None and block >= progress.horizon:
            return ()
        latents = range(block * size, (block + 1) * size)
        noisy, clean = (Entry(block, latents, latents.start, level) for level in self.levels)
        if latents.start < progress.num_prefix_latents:
            if latents.stop > progress.num_prefix_latents:
                raise PlanError(
                    f"A prefix of {progress.num_prefix_latents} latents was given, but blocks have {size}: "
                    f"give {latents.start} or {latents.stop}."
                )
            return (Prefill(clean),)
        return (
            Pass((noisy,), updates=(Update(block, NOISE, CLEAN),)),
            Pass((clean,), commits=(block,), finishes=(block,)),
        )


class DirectSolver:
    """Implements `Solver` for networks that predict the clean latents."""

    def __init__(self, config: ComponentConfig) -> None:
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
        """See `Solver.update`."""
        if target.sigma == 0.0:
            return prediction, None
        return (1.0 - target.sigma) * prediction + target.sigma * noise(), None
