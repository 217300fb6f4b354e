"""The order of Self Forcing's passes: a few denoising passes over one block, then a clean one; free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.plan import Entry, Level, Op, Prefill, Progress

from inferix_wan.config import SelfForcingPlannerConfig
from inferix_wan.planners.blocks import Blocks
from inferix_wan.planners.few_step import committing_pass, denoising_passes, few_step_levels


class SelfForcingPlanner:
    """One block in flight (Huang et al. 2025, algorithm 2).

    Each denoising pass predicts the clean block, which is noised again to the next level; a last pass over the
    clean block commits its keys and values. Blocks of a given prefix are committed without denoising.
    """

    def __init__(self, config: SelfForcingPlannerConfig) -> None:
        self._blocks = Blocks(config.num_block_latents, config.independent_first_latent)
        self._levels = few_step_levels(config, clean_time=config.clean_time)
        self._prefix_level = Level(self._levels[-1].index, 0.0, 0.0)

    @property
    def levels(self) -> Sequence[Level]:
        """See `Planner.levels`; the last is the clean one."""
        return self._levels

    @property
    def num_block_latents(self) -> int:
        """See `Planner.num_block_latents`."""
        return self._blocks.size

    def latents(self, block: int) -> range:
        """The absolute latents of a block."""
        return self._blocks.latents(block)

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`. Raises `PlanError` for a prefix that does not end where a block ends."""
        block = progress.num_finished
        if progress.horizon is not None and block >= progress.horizon:
            return ()
        latents = self.latents(block)
        if self._blocks.is_given(block, num_prefix_latents=progress.num_prefix_latents):
            return (Prefill(Entry(block, latents, latents.start, self._prefix_level)),)
        entry = Entry(block, latents, latents.start, self._levels[-1])
        return (*denoising_passes(entry, self._levels), committing_pass(entry))
