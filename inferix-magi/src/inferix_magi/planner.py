"""The `magi` planner: a window of blocks slides over the video, each block further denoised than the next."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.errors import PlanError
from inferix_core.plan import Emit, Entry, Level, Op, Pass, Prefill, Progress, Update

from inferix_magi.config import MagiPlannerConfig
from inferix_magi.guidance import CLEAN, NULL
from inferix_magi.passes import DistilledPass, GuidedPasses, Moment, Moving
from inferix_magi.schedule import (
    Stage,
    float32,
    stage,
    step_intervals,
    step_size,
    time_table,
)


class MagiPlanner:
    """A window of `num_blocks_in_flight` blocks goes through stages of `num_steps / num_blocks_in_flight` steps.

    With every stage a block joins, until the horizon, and the oldest finishes. A finished block is
    committed in the first pass of the next stage; the last blocks before the horizon never are. Whole
    blocks of the prefix are prefilled, each a plan of its own that emits nothing; what is left of the
    prefix is pinned in the block after them. A live world (no horizon) never ramps down.
    """

    def __init__(self, config: MagiPlannerConfig) -> None:
        self._config = config
        times = time_table(config.num_steps, spacing=config.spacing, shift=config.shift, shortcut=config.shortcut)
        self._levels = tuple(Level(i, time, max(0.0, 1.0 - time)) for i, time in enumerate(times))
        self._clean = Level(config.num_steps, float32(config.clean_time), 0.0)
        self._intervals = step_intervals(config.num_steps, shortcut=config.shortcut)
        self._passes = DistilledPass(config) if config.guidance == "distilled" else GuidedPasses(config)

    @property
    def config(self) -> MagiPlannerConfig:
        """What the planner was configured with, for a policy that follows it."""
        return self._config

    @property
    def levels(self) -> Sequence[Level]:
        """The schedule from noise to clean."""
        return self._levels

    @property
    def num_block_latents(self) -> int:
        """Latents of all blocks in flight, and of the one that has finished and is committed as the next begins."""
        return self._config.num_block_latents * (self._config.num_blocks_in_flight + 1)

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`. Raises `PlanError` for a prefix that is longer than the horizon."""
        block = progress.num_finished
        num_prefix_blocks = progress.num_prefix_latents // self._config.num_block_latents
        if progress.horizon is not None:
            self._check_prefix(progress.num_prefix_latents, horizon=progress.horizon)
            if block >= progress.horizon:
                return ()
        if block < num_prefix_blocks:
            return self._prefill(block)
        window = self._config.num_blocks_in_flight
        finishing = block + window - 1
        beginning = num_prefix_blocks if block == num_prefix_blocks else finishing
        ops: list[Op] = []
        for index in range(beginning, finishing + 1):
            current = stage(index, window=window, num_blocks=progress.horizon, num_prefix_blocks=num_prefix_blocks)
            ops += self._stage(current, num_prefix_latents=progress.num_prefix_latents)
        ops.append(Emit(block, latents=self._emitted(block, progress.num_prefix_latents)))
        return ops

    def _stage(self, current: Stage, *, num_prefix_latents: int) -> list[Pass]:
        num_stage_steps = self._config.num_steps // self._config.num_blocks_in_flight
        passes: list[Pass] = []
        for step in range(num_stage_steps):
            moving = []
            for block in range(current.first_block, current.end_block):
                index = current.level_index(block, step, num_stage_steps=num_stage_steps)
                level, target = self._levels[index], self._levels[index + 1]
                span, pinned = self._span(block), self._num_pinned(block, num_prefix_latents)
                moving.append(Moving(Update(block, level, target), span, pinned))
            moment = Moment(
                moving=tuple(moving),
                clean=self._reforwarded(current, num_prefix_latents) if step == 0 else None,
                finishes=tuple(one.update.block for one in moving if one.update.target is self._levels[-1]),
                step_size=step_size(self._config.num_steps, interval=self._intervals[step]),
            )
            passes += self._passes.of(moment)
        return passes

    def _reforwarded(self, current: Stage, num_prefix_latents: int) -> Entry | None:
        """The block that finished with the stage before: it is passed once more, clean, to be committed."""
        block = current.first_block - 1
        if block < num_prefix_latents // self._config.num_block_latents:
            return None
        return self._clean_entry(block, branch=NULL, num_pinned=self._num_pinned(block, num_prefix_latents))

    def _prefill(self, block: int) -> list[Op]:
        distilled = self._config.guidance == "distilled"
        entry = self._clean_entry(block, branch=CLEAN if distilled else NULL)
        told = step_size(self._config.num_steps, interval=1.0) if distilled else None
        nothing = range(self._span(block).stop, self._span(block).stop)
        return [Prefill(entry, step_size=told), Emit(block, latents=nothing)]

    def _clean_entry(self, block: int, *, branch: str, num_pinned: int = 0) -> Entry:
        span = self._span(block)
        return Entry(block, span, span.start, self._clean, branch, weight=0.0, num_pinned_latents=num_pinned)

    def _span(self, block: int) -> range:
        return range(block * self._config.num_block_latents, (block + 1) * self._config.num_block_latents)

    def _num_pinned(self, block: int, num_prefix_latents: int) -> int:
        return min(max(0, num_prefix_latents - self._span(block).start), self._config.num_block_latents)

    def _emitted(self, block: int, num_prefix_latents: int) -> range | None:
        """A prefix was seen already and is left out, but a single image is shown as it was drawn into the video."""
        span = self._span(block)
        if num_prefix_latents <= max(1, span.start):
            return None
        return range(num_prefix_latents, span.stop)

    def _check_prefix(self, num_prefix_latents: int, *, horizon: int) -> None:
        room = horizon * self._config.num_block_latents
        if num_prefix_latents > room:
            raise PlanError(
                f"A prefix of {num_prefix_latents} latents was given, but the world ends after {horizon} blocks of "
                f"{self._config.num_block_latents} latents ({room}). Shorten the prefix or raise num_blocks."
            )
