"""What a block costs in a world that has lived long, against a fresh one, and whether its memory grew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from inferix_core.bench.memory import resident_bytes
from inferix_core.bench.pairs import num_blocks_to_fill, paired_seconds
from inferix_core.errors import ConfigError

if TYPE_CHECKING:
    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.world import World

_NUM_SAMPLES = 120
_SETTLED_SHARE = 0.02
"""Of the ageing, after which memory counts: before, allocators and caches fill."""


@dataclass(frozen=True, slots=True)
class MemorySample:
    """The memory when the world had so many seconds of video; the process's is None where it is not known."""

    seconds: float
    num_world_bytes: int
    num_resident_bytes: int | None


@dataclass(frozen=True, slots=True)
class AgeCost:
    """What age costs.

    `ratios` are those of aged to fresh, pair by pair, and `ratio` their median; times are process CPU time, on CUDA
    wall time. `world_growth` and `resident_growth` compare the median of the last quarter of the samples with that of
    the first quarter, after the window was full and the process had settled: 0.01 is 1 % more.
    """

    aged_seconds: float
    fresh_milliseconds: float
    aged_milliseconds: float
    ratio: float
    ratios: tuple[float, ...]
    world_growth: float
    resident_growth: float | None
    samples: tuple[MemorySample, ...]


def measure_age(
    engine: Engine,
    *,
    prompt: str | None,
    age_seconds: float,
    num_pairs: int,
    progress: Callable[[float], None] = lambda _: None,
) -> AgeCost:
    """Lets a world live for `age_seconds` of video, then steps it and a fresh one with a full window in turn.

    `progress` is told the seconds after each block. Raises `ConfigError` for an age that does not fill the window, and
    for a policy without a bound, under which blocks grow dearer by design.
    """
    if engine.parts.policy.capacity(engine.parts.planner.num_block_latents) is None:
        raise ConfigError("The KV policy has no bound, so every block costs more than the last. Use window, say.")
    num_filling = num_blocks_to_fill(engine)
    with engine.create_world(prompt, seed=0) as aged, engine.create_world(prompt, seed=1) as fresh:
        samples = _aged(aged, age_seconds, num_filling=num_filling, progress=progress)
        for _ in range(num_filling):
            fresh.step()
        fresh_seconds, aged_seconds = paired_seconds(fresh.step, aged.step, num_pairs=num_pairs, device=engine.device)
    ratios = tuple(old / young for old, young in zip(aged_seconds, fresh_seconds, strict=True))
    settled = [one for one in samples if one.seconds >= _SETTLED_SHARE * samples[-1].seconds]
    resident = [one.num_resident_bytes for one in settled if one.num_resident_bytes is not None]
    return AgeCost(
        aged_seconds=samples[-1].seconds,
        fresh_milliseconds=1000.0 * median(fresh_seconds),
        aged_milliseconds=1000.0 * median(aged_seconds),
        ratio=median(ratios),
        ratios=ratios,
        world_growth=growth([one.num_world_bytes for one in settled]),
        resident_growth=growth(resident) if len(resident) == len(settled) else None,
        samples=tuple(samples),
    )


def growth(values: Sequence[float]) -> float:
    """By what share the median of the last quarter is above that of the first."""
    quarter = -(-len(values) // 4)
    return median(values[-quarter:]) / median(values[:quarter]) - 1.0


def _aged(
    world: World, age_seconds: float, *, num_filling: int, progress: Callable[[float], None]
) -> list[MemorySample]:
    """Samples from the moment on when the window is full, evenly over the ageing."""
    fps = world.engine.geometry.fps
    samples: list[MemorySample] = []
    num_frames, seconds = 0, 0.0
    while seconds < age_seconds:
        num_frames += len(world.step().frames)
        seconds = num_frames / fps
        is_due = not samples or seconds - samples[-1].seconds >= age_seconds / _NUM_SAMPLES or seconds >= age_seconds
        if world.num_blocks >= num_filling and is_due:
            samples.append(MemorySample(seconds, world.num_kv_bytes, resident_bytes()))
        progress(seconds)
    if not samples:
        raise ConfigError(
            f"A world of {age_seconds:g} s is too young: its window is full after {num_filling} blocks, and it had "
            f"{world.num_blocks}. Ask for more seconds."
        )
    return samples
