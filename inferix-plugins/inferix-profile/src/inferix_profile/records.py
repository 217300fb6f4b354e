"""What is kept of a run, and what it adds up to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from inferix_core.events import Span, Timings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PassMark:
    """One pass: its noise levels' times, one for each entry of the first world."""

    times: tuple[float, ...]


@dataclass(slots=True, eq=False)
class BlockRecord:
    """One block of one world, or of several that were stepped together.

    `frames` are the viewer's frames of each world that was handed its block; without any, the block failed.
    `timings` grows until the frames have been written.
    """

    world_ids: tuple[str, ...]
    blocks: tuple[int, ...]
    start: float
    seconds: float = 0.0
    passes: list[PassMark] = field(default_factory=list)
    frames: dict[str, int] = field(default_factory=dict)
    timings: Timings | None = None

    @property
    def spans(self) -> list[Span]:
        """The spans so far, the writing of frames included."""
        return [] if self.timings is None else self.timings.spans

    @property
    def end(self) -> float:
        """When the last thing that was done on the block ended."""
        return max([self.start + self.seconds, *(span.start + span.seconds for span in self.spans)])


@dataclass(frozen=True, slots=True)
class Sample:
    """A metric's value at a moment."""

    name: str
    time: float
    value: float


@dataclass(slots=True)
class Statistic:
    """Numbers of one name."""

    count: int = 0
    total: float = 0.0
    smallest: float = math.inf
    largest: float = -math.inf
    last: float = math.nan

    def add(self, value: float) -> None:
        """Counts one number."""
        self.count += 1
        self.total += value
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)
        self.last = value

    def merged(self, other: Statistic) -> Statistic:
        """Both together, `other` being the later."""
        return Statistic(
            self.count + other.count,
            self.total + other.total,
            min(self.smallest, other.smallest),
            max(self.largest, other.largest),
            other.last if other.count else self.last,
        )

    @property
    def mean(self) -> float:
        """The mean; not a number without any."""
        return self.total / self.count if self.count else math.nan

    def as_mapping(self) -> Mapping[str, Any]:
        """Plain data."""
        return {"count": self.count, "mean": self.mean, "min": self.smallest, "max": self.largest, "last": self.last}


class Kept(Generic[T]):
    """The last records, and the sum of those before them: memory is bounded however long a world lives."""

    def __init__(self, num_kept: int, *, fold: Callable[[T], None]) -> None:
        self._records: deque[T] = deque()
        self._num_kept = num_kept
        self._fold = fold

    def add(self, record: T) -> None:
        """Keeps a record; the oldest one is folded into the sum where there are too many."""
        self._records.append(record)
        if len(self._records) > self._num_kept:
            self._fold(self._records.popleft())

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._records))
