"""The order of passes of causal models that denoise each block in many guided steps; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from inferix_core.plan import Entry, Level, Op, Pass, Progress

from inferix_wan.planners.blocks import Blocks
from inferix_wan.planners.config import GuidedBlocksPlannerConfig
from inferix_wan.planners.guidance import Guidance
from inferix_wan.solvers.sampling import sampling_levels


class GuidedBlocksPlanner:
    """One block in flight; each step passes it under the prompt and under the negative one.

    A finished block is passed clean under both, so that both caches hold it. Blocks of a given prefix are the same
    without the steps: their latents are pinned.
    """

    def __init__(self, config: GuidedBlocksPlannerConfig) -> None:
        self._blocks = Blocks(config.num_block_latents, config.independent_first_latent)
        self._guidance = Guidance(config.guidance_scale)
        self._levels = sampling_levels(config.num_steps, shift=config.shift, spacing=config.spacing)
        self._clean_time = config.clean_time

    @property
    def levels(self) -> Sequence[Level]:
        """See `Planner.levels`; the last is the clean one."""
        return self._levels

    @property
    def num_block_latents(self) -> int:
        """See `Planner.num_block_latents`."""
        return self._blocks.size

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`. Raises `PlanError` for a prefix that does not end where a block ends."""
        block = progress.num_finished
        if progress.horizon is not None and block >= progress.horizon:
            return ()
        latents = self._blocks.latents(block)
        entry = Entry(block, latents, latents.start, self._levels[-1])
        if self._blocks.is_given(block, num_prefix_latents=progress.num_prefix_latents):
            return self._guidance.commit(replace(entry, num_pinned_latents=len(latents)))
        passes: list[Pass] = []
        for level, target in pairwise(self._levels):
            passes += self._guidance.step(replace(entry, level=level), target=target)
        clean = replace(self._levels[-1], time=self._clean_time)
        return [*passes, *self._guidance.commit(replace(entry, level=clean))]
