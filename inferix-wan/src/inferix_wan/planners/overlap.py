"""CausVid's own scheme for long videos: rollouts that overlap, each decoded as a video of its own; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inferix_core.plan import Emit, Entry, Level, Op, Progress, Restart

from inferix_wan.planners.causvid import CausVidPlanner
from inferix_wan.planners.config import CausVidOverlapPlannerConfig
from inferix_wan.vae.config import VaeConfig


class CausVidOverlapPlanner:
    """Rollouts as CausVid's passes make them, joined in the frames that the last block of each has made.

    The first of these frames is encoded as a video of its own, and the next rollout begins with its latent and the
    other latents of the block. The decoder starts anew there, so the viewer gets the frames of the overlap from the
    later of the two rollouts, together with the block behind them.
    """

    def __init__(self, config: CausVidOverlapPlannerConfig) -> None:
        self._rollouts = CausVidPlanner(config)
        self._num_overlap_frames = VaeConfig().num_frames(config.num_block_latents)

    @property
    def levels(self) -> Sequence[Level]:
        """See `Planner.levels`; the last is the clean one."""
        return self._rollouts.levels

    @property
    def num_block_latents(self) -> int:
        """See `Planner.num_block_latents`."""
        return self._rollouts.num_block_latents

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`. Raises `PlanError` for a prefix that does not end where a block ends."""
        ops = [replace(op, from_anchor=True) if isinstance(op, Restart) else op for op in self._rollouts.plan(progress)]
        block = progress.num_finished
        if not ops:
            return ops
        is_joined = self._rollouts.begins_rollout(block + 1) and progress.horizon != block + 1
        carry = _carried(ops)
        if carry is None and not is_joined:
            return ops
        kept = None if carry is None else carry.latents
        if not is_joined:
            return [*ops, Emit(block, behind=kept)]
        overlap = -self._num_overlap_frames
        return [*ops, Emit(block, frames=slice(None, overlap), behind=kept, anchor=overlap)]


def _carried(ops: Sequence[Op]) -> Entry | None:
    return next((op.carry for op in ops if isinstance(op, Restart)), None)
