"""The levels and passes of few-step models; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from inferix_core.plan import Entry, Level, Pass, Update

from inferix_wan.planners.config import FewStepSchedule
from inferix_wan.solvers.schedule import FlowMatchSchedule


def few_step_levels(config: FewStepSchedule, *, clean_time: float = 0.0) -> Sequence[Level]:
    """A level for each step, and the clean one, at which the network is told `clean_time`."""
    schedule = FlowMatchSchedule(shift=config.shift)
    times = schedule.warped(config.steps) if config.warp else tuple(float(step) for step in config.steps)
    noisy = [Level(index, time, schedule.sigma(time)) for index, time in enumerate(times)]
    return (*noisy, Level(len(noisy), clean_time, 0.0))


def denoising_passes(entry: Entry, levels: Sequence[Level]) -> Sequence[Pass]:
    """One pass over the block for each level but the last, each followed by an update to the next level."""
    return [
        Pass((replace(entry, level=level),), updates=(Update(entry.block, level, target),))
        for level, target in pairwise(levels)
    ]


def committing_pass(entry: Entry) -> Pass:
    """The pass over the clean block that makes its keys and values pages, and finishes it."""
    return Pass((entry,), commits=(entry.block,), finishes=(entry.block,))
