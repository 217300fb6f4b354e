"""The order of CausVid's passes: Self Forcing's, in rollouts that overlap; free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.plan import Entry, Level, Op, Prefill, Progress, Restart

from inferix_wan.planners.blocks import Blocks
from inferix_wan.planners.config import CausVidPlannerConfig
from inferix_wan.planners.few_step import committing_pass, denoising_passes, few_step_levels


class CausVidPlanner:
    """One block in flight, and positions that start again with every rollout (Yin et al. 2025).

    A rollout begins with the last block of the one before, passed again at the first positions under the prompt of that
    block. The frames go on without a seam, since the decoder does not start again. The original's own way is
    `CausVidOverlapPlanner`.
    """

    def __init__(self, config: CausVidPlannerConfig) -> None:
        self._blocks = Blocks(config.num_block_latents)
        self._num_rollout_blocks = config.num_rollout_blocks
        self._num_overlap_blocks = config.num_overlap_blocks
        self._levels = few_step_levels(config)

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
        entry = self._entry(block, position=block - self._first_block(block))
        restart = [self._restart(block)] if self.begins_rollout(block) else []
        if self._blocks.is_given(block, num_prefix_latents=progress.num_prefix_latents):
            return (*restart, Prefill(entry))
        return (*restart, *denoising_passes(entry, self._levels), committing_pass(entry))

    def begins_rollout(self, block: int) -> bool:
        """Whether positions start again with the block."""
        return block >= self._num_rollout_blocks and self._num_made(block) == 0

    def _entry(self, block: int, *, position: int) -> Entry:
        return Entry(block, self._blocks.latents(block), position * self._blocks.size, self._levels[-1])

    def _restart(self, block: int) -> Restart:
        return Restart(self._entry(block - 1, position=0) if self._num_overlap_blocks else None)

    def _first_block(self, block: int) -> int:
        """The block that stands at position 0 when `block` is made."""
        if block < self._num_rollout_blocks:
            return 0
        return block - self._num_made(block) - self._num_overlap_blocks

    def _num_made(self, block: int) -> int:
        """The new blocks before `block` in a rollout that is not the first."""
        return (block - self._num_rollout_blocks) % (self._num_rollout_blocks - self._num_overlap_blocks)
