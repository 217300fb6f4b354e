"""What blocks, own spans and metrics add up to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferix_core.events import Span

from inferix_profile.records import BlockRecord, Sample, Statistic

SPAN_NAMES = ("encode", "pass", "commit", "decode", "write")
"""In the order of a block's life."""


@dataclass(slots=True)
class WorldTotals:
    """One world's share: its frames, and the time that was spent for it alone (decode, write)."""

    num_blocks: int = 0
    num_frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Totals:
    """Sums over any number of records. `num_blocks` and `num_frames` count each world's; a batch is one run."""

    num_runs: int = 0
    num_failed_runs: int = 0
    num_blocks: int = 0
    num_frames: int = 0
    block_seconds: float = 0.0
    start: float | None = None
    end: float = 0.0
    spans: dict[str, Statistic] = field(default_factory=dict)
    worlds: dict[str, WorldTotals] = field(default_factory=dict)
    own_spans: dict[str, Statistic] = field(default_factory=dict)
    metrics: dict[str, Statistic] = field(default_factory=dict)

    def copy(self) -> Totals:
        """Totals that can be added to apart from these."""
        return copy.deepcopy(self)

    def add_block(self, record: BlockRecord) -> None:
        """Counts a block and all its spans."""
        self.start = record.start if self.start is None else min(self.start, record.start)
        self.end = max(self.end, record.end)
        self.num_runs += 1
        self.block_seconds += record.seconds
        if not record.frames:
            self.num_failed_runs += 1
        for world_id, num_frames in record.frames.items():
            world = self.worlds.setdefault(world_id, WorldTotals())
            world.num_blocks += 1
            world.num_frames += num_frames
            self.num_blocks += 1
            self.num_frames += num_frames
        for span in record.spans:
            self.spans.setdefault(span.name, Statistic()).add(span.seconds)
            if span.world_id in self.worlds:
                seconds = self.worlds[span.world_id].seconds
                seconds[span.name] = seconds.get(span.name, 0.0) + span.seconds

    def add_own_span(self, span: Span) -> None:
        """Counts a span of the user's."""
        self.own_spans.setdefault(span.name, Statistic()).add(span.seconds)

    def add_sample(self, sample: Sample) -> None:
        """Counts a metric's value."""
        self.metrics.setdefault(sample.name, Statistic()).add(sample.value)

    @property
    def wall_seconds(self) -> float:
        """From the beginning of the first block to the end of the last thing that was done on one."""
        return 0.0 if self.start is None else self.end - self.start

    def summary(self) -> dict[str, Any]:
        """Plain data; seconds unless the name says otherwise."""
        wall = self.wall_seconds
        return {
            "num_blocks": self.num_blocks,
            "num_frames": self.num_frames,
            "num_failed_runs": self.num_failed_runs,
            "wall_seconds": wall,
            "block_seconds": self.block_seconds,
            "frames_per_second": self.num_frames / wall if wall else 0.0,
            "spans": {name: self._span(self.spans[name]) for name in ordered(self.spans)},
            "worlds": {name: self._world(world) for name, world in self.worlds.items()},
            "own_spans": {name: self._span(statistic) for name, statistic in self.own_spans.items()},
            "metrics": {name: statistic.as_mapping() for name, statistic in self.metrics.items()},
        }

    def _span(self, statistic: Statistic) -> Mapping[str, Any]:
        return {
            "count": statistic.count,
            "seconds": statistic.total,
            "longest_seconds": statistic.largest,
            "share": statistic.total / self.wall_seconds if self.wall_seconds else 0.0,
        }

    def _world(self, world: WorldTotals) -> Mapping[str, Any]:
        return {
            "num_blocks": world.num_blocks,
            "num_frames": world.num_frames,
            "seconds": dict(world.seconds),
        }


def ordered(names: Mapping[str, object]) -> list[str]:
    """The names of spans in the order of a block's life, others last."""
    known = [name for name in SPAN_NAMES if name in names]
    return known + [name for name in names if name not in SPAN_NAMES]
