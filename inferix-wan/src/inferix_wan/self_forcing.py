"""The order of Self Forcing's passes: a few denoising passes over one block, then a clean one; free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.errors import PlanError
from inferix_core.plan import Entry, Level, Op, Pass, Prefill, Progress, Update

from inferix_wan.config import SelfForcingPlannerConfig
from inferix_wan.schedule import FlowMatchSchedule


class SelfForcingPlanner:
    """One block in flight (Huang et al. 2025, algorithm 2).

    Each denoising pass predicts the clean block, which is noised again to the next level; a last pass over the
    clean block commits its keys and values. Blocks of a given prefix are committed without denoising.
    """

    def __init__(self, config: SelfForcingPlannerConfig) -> None:
        self._config = config
        schedule = FlowMatchSchedule(shift=config.shift)
        times = schedule.warped(config.steps) if config.warp else tuple(float(step) for step in config.steps)
        noisy = [Level(index, time, schedule.sigma(time)) for index, time in enumerate(times)]
        self._levels = (*noisy, Level(len(noisy), config.clean_time, 0.0))
        self._prefix_level = Level(len(noisy), 0.0, 0.0)

    @property
    def levels(self) -> Sequence[Level]:
        """See `Planner.levels`; the last is the clean one."""
        return self._levels

    @property
    def num_block_latents(self) -> int:
        """See `Planner.num_block_latents`."""
        return self._config.num_block_latents

    def latents(self, block: int) -> range:
        """The absolute latents of a block."""
        size = self._config.num_block_latents
        if not self._config.independent_first_latent:
            return range(block * size, (block + 1) * size)
        return range(1) if block == 0 else range(1 + (block - 1) * size, 1 + block * size)

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`. Raises `PlanError` for a prefix that does not end where a block ends."""
        block = progress.num_finished
        if progress.horizon is not None and block >= progress.horizon:
            return ()
        latents = self.latents(block)
        if latents.start < progress.num_prefix_latents:
            if latents.stop > progress.num_prefix_latents:
                raise PlanError(self._prefix_message(progress.num_prefix_latents))
            return (Prefill(Entry(block, latents, latents.start, self._prefix_level)),)
        clean = self._levels[-1]
        denoising = [
            Pass((Entry(block, latents, latents.start, level),), updates=(Update(block, level, target),))
            for level, target in zip(self._levels, self._levels[1:], strict=False)
        ]
        commit = Pass((Entry(block, latents, latents.start, clean),), commits=(block,), finishes=(block,))
        return (*denoising, commit)

    def _prefix_message(self, num_latents: int) -> str:
        size = self._config.num_block_latents
        first = 1 if self._config.independent_first_latent else 0
        below = num_latents - (num_latents - first) % size
        accepted = f"{below + size}" if below <= 0 else f"{below} or {below + size}"
        return (
            f"A prefix of {num_latents} latents was given, but blocks of {size} latents"
            f"{' after a first one of 1' if first else ''} cannot end there: give {accepted}."
        )
