"""The plans of bidirectional models: a clip is one block, in which every latent sees every other; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from inferix_core.errors import PlanError
from inferix_core.plan import Entry, Level, Op, Pass, Progress

from inferix_wan.planners.config import FewStepClipPlannerConfig, WholeClipPlannerConfig
from inferix_wan.planners.few_step import denoising_passes, few_step_levels
from inferix_wan.planners.guidance import Guidance
from inferix_wan.solvers.sampling import sampling_levels


class WholeClipPlanner:
    """The clip in many guided steps, as Wan 2.1 makes it. Nothing is cached."""

    def __init__(self, config: WholeClipPlannerConfig) -> None:
        self._guidance = Guidance(config.guidance_scale)
        self._num_latents = config.num_latents
        self._levels = sampling_levels(config.num_steps, shift=config.shift, spacing=config.spacing)

    @property
    def levels(self) -> Sequence[Level]:
        """See `Planner.levels`; the last is the clean one."""
        return self._levels

    @property
    def num_block_latents(self) -> int:
        """See `Planner.num_block_latents`."""
        return self._num_latents

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`. Raises `PlanError` for a second block and for a prefix."""
        if _is_over(progress, num_latents=self._num_latents):
            return ()
        entry = _entry(self._num_latents, self._levels)
        passes: list[Pass] = []
        for level, target in pairwise(self._levels):
            passes += self._guidance.step(replace(entry, level=level), target=target)
        return _finishing(passes)


class FewStepClipPlanner:
    """The clip in a few steps, as distilled bidirectional models make it. Nothing is cached."""

    def __init__(self, config: FewStepClipPlannerConfig) -> None:
        self._num_latents = config.num_latents
        self._levels = few_step_levels(config)

    @property
    def levels(self) -> Sequence[Level]:
        """See `Planner.levels`; the last is the clean one."""
        return self._levels

    @property
    def num_block_latents(self) -> int:
        """See `Planner.num_block_latents`."""
        return self._num_latents

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`. Raises `PlanError` for a second block and for a prefix."""
        if _is_over(progress, num_latents=self._num_latents):
            return ()
        return _finishing(denoising_passes(_entry(self._num_latents, self._levels), self._levels))


def _entry(num_latents: int, levels: Sequence[Level]) -> Entry:
    return Entry(0, range(num_latents), 0, levels[0], reads_cache=False)


def _finishing(passes: Sequence[Pass]) -> Sequence[Pass]:
    *others, last = passes
    return [*others, replace(last, finishes=(0,))]


def _is_over(progress: Progress, *, num_latents: int) -> bool:
    """Whether the horizon is reached; `PlanError` for a world that is no clip."""
    if progress.num_prefix_latents:
        raise PlanError(
            f"A prefix of {progress.num_prefix_latents} latents was given, but this model makes a clip at once and "
            "continues none: leave the prefix out, or use a causal model."
        )
    num_blocks = progress.num_finished + 1 if progress.horizon is None else progress.horizon
    if num_blocks > 1:
        raise PlanError(
            f"This model makes one clip of {num_latents} latents at once, not {num_blocks} blocks: set "
            "planner.num_latents to the length you want (a latent more is 4 frames more), and num_blocks, if any, to 1."
        )
    return progress.num_finished >= num_blocks
