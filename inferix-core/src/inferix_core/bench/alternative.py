"""What one setting does to the time of a block: a run with it and one without it take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch

from inferix_core.bench.pairs import check_goes_on, num_blocks_to_fill
from inferix_core.bench.spans import wait_for

if TYPE_CHECKING:
    from inferix_core.events import Block
    from inferix_core.runtime.engine import Engine

_ENDLESS = 10**12
"""Frames of a run that is left when all is measured."""


@dataclass(frozen=True, slots=True)
class AlternativeCost:
    """Medians over pairs of blocks: milliseconds of wall time with the setting, and its ratios to those without it.

    `cpu_ratio` is that of the process's CPU time, which a busy machine changes less.
    """

    setting: str
    num_pairs: int
    block_milliseconds: float
    wall_ratio: float
    cpu_ratio: float
    has_same_frames: bool


def measure_alternative(
    engine: Engine,
    other: Engine,
    *,
    setting: str,
    prompt: str | None,
    num_pairs: int,
    progress: Callable[[str], None] = lambda _: None,
) -> AlternativeCost:
    """Runs a world in each engine until its window is full, then times `num_pairs` blocks of each, in turn.

    Blocks are those of `World.run`, so that what is made ahead of one counts for the one before it. Raises
    `ConfigError` at once for planners that make a single clip.
    """
    for one in (engine, other):
        check_goes_on(one)
    with engine.create_world(prompt, seed=0) as world, other.create_world(prompt, seed=0) as other_world:
        runs = (world.run(num_frames=_ENDLESS), other_world.run(num_frames=_ENDLESS))
        num_filling = max(num_blocks_to_fill(one) for one in (engine, other))
        for index in range(num_filling):
            progress(f"Filling the window: block {index + 1} of {num_filling} …")
            for run in runs:
                next(run)
        pairs = []
        for index in range(num_pairs):
            progress(f"{setting}: pair {index + 1} of {num_pairs} …")
            order = (1, 0) if index % 2 else (0, 1)  # whoever goes first finds colder caches: take turns
            timed = {which: _timed(runs[which], engine.device) for which in order}
            pairs.append((timed[0], timed[1]))
    return AlternativeCost(
        setting=setting,
        num_pairs=num_pairs,
        block_milliseconds=1000.0 * median(with_it.wall for _, with_it in pairs),
        wall_ratio=median(with_it.wall / without.wall for without, with_it in pairs),
        cpu_ratio=median(with_it.cpu / without.cpu for without, with_it in pairs),
        has_same_frames=all(torch.equal(without.block.frames, with_it.block.frames) for without, with_it in pairs),
    )


@dataclass(frozen=True, slots=True)
class _Timed:
    block: Block
    wall: float
    cpu: float


def _timed(run: Iterator[Block], device: torch.device) -> _Timed:
    wait_for(device)
    wall, cpu = time.perf_counter(), time.process_time()
    block = next(run)
    wait_for(device)
    return _Timed(block, time.perf_counter() - wall, time.process_time() - cpu)
