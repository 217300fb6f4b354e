"""The profiler `rhythm`: how evenly blocks come. A viewer forgives slow blocks sooner than uneven ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from inferix_core.events import BlockRun
from inferix_core.hookspecs import hookimpl

from inferix_example.config import RhythmConfig


class Rhythm:
    """Implements `Profiler`. A block that fails is counted, and its time is not."""

    def __init__(self, config: RhythmConfig) -> None:
        self._path = None if config.csv_path is None else Path(config.csv_path)
        self._blocks: list[tuple[int, float]] = []  # index and milliseconds
        self._num_failed = 0

    @hookimpl(wrapper=True)
    def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
        """Measures the making of one block, of one world or of several together."""
        start = time.perf_counter()
        try:
            made = yield
        except BaseException:
            self._num_failed += 1
            raise
        self._blocks.append((run.blocks[0], 1e3 * (time.perf_counter() - start)))
        return made

    def summary(self) -> Mapping[str, Any]:
        """See `Profiler.summary`: milliseconds, and how much longer than the median the slowest block took."""
        if not self._blocks:
            return {"num_blocks": 0, "num_failed": self._num_failed}
        times = [milliseconds for _, milliseconds in self._blocks]
        median = statistics.median(times)
        return {
            "num_blocks": len(times),
            "num_failed": self._num_failed,
            "median_ms": median,
            "slowest_ms": max(times),
            "slowest_over_median": max(times) / median,
        }

    def close(self) -> None:
        """See `Profiler.close`: writes a line for each block, where a file was asked for."""
        if self._path is not None and self._blocks:
            rows = [f"{index},{milliseconds:.3f}\n" for index, milliseconds in self._blocks]
            self._path.write_text("block,ms\n" + "".join(rows), encoding="utf-8")
