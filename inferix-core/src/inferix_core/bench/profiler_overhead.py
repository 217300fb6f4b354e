"""What the configured profilers add to a block, measured in pairs of blocks in one run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from inferix_core.bench.pairs import num_blocks_to_fill, paired_seconds
from inferix_core.errors import ConfigError
from inferix_core.runtime.engine import Engine

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog


@dataclass(frozen=True, slots=True)
class ProfilerOverhead:
    """Medians over pairs of blocks: milliseconds without and with the profilers, and what they add, as a ratio."""

    num_pairs: int
    plain_milliseconds: float
    profiled_milliseconds: float
    overhead: float


def measure_profiler_overhead(engine: Engine, catalog: Catalog, *, prompt: str, num_pairs: int) -> ProfilerOverhead:
    """Steps two worlds of one model in turn, one of them profiled, and compares the time of each pair.

    Both worlds have the same seed, so they make the same frames. The overhead is the median over pairs of
    profiled / plain - 1; see `paired_seconds` for the clock. Raises `ConfigError` if no profiler is configured.
    """
    if not engine.profilers:
        raise ConfigError('No profiler is configured. Add [[profilers]] with use = "…" to the configuration.')
    plain = Engine(replace(engine.parts, relay=catalog.relay(), profilers=()), engine.decoder)
    with plain.create_world(prompt, seed=0) as alone, engine.create_world(prompt, seed=0) as profiled:
        for _ in range(num_blocks_to_fill(engine)):
            alone.step()
            profiled.step()
        plain_seconds, profiled_seconds = paired_seconds(
            alone.step, profiled.step, num_pairs=num_pairs, device=engine.device
        )
    overheads = [whole / alone - 1.0 for alone, whole in zip(plain_seconds, profiled_seconds, strict=True)]
    return ProfilerOverhead(
        num_pairs, 1000.0 * median(plain_seconds), 1000.0 * median(profiled_seconds), median(overheads)
    )
