"""What the engine reports: blocks with their timings, and the moments that hooks may wrap."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.plan import Pass


class Span(NamedTuple):
    """A stretch of time: what was done, when it began (`time.perf_counter`), and how long it took.

    `world_id` is the world it was done for, None where it was done for all worlds that were stepped together.
    """

    name: str
    start: float
    seconds: float
    world_id: str | None = None


class Timings:
    """The time spent in named spans (encode, pass, commit, decode, write) on one block.

    Spans of one block do not overlap; with `overlap_decode` a block's decode overlaps the next block's passes. On an
    asynchronous device they measure the host's time. "write" is added by the outputs that an engine opened, once the
    block has been handed out.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """The sum for each name."""
        self.spans: list[Span] = []
        """Every span, in the order of their ends."""

    @contextmanager
    def span(self, name: str, *, world_id: str | None = None) -> Iterator[None]:
        """Adds the time of the body to `name`, also when the body raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            self.spans.append(Span(name, start, seconds, world_id))

    @property
    def total(self) -> float:
        """The sum over all spans."""
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A finished block as it is handed out.

    `frames` is `[T, H, W, 3]` uint8 on the CPU; `latents` names the absolute latents it was made
    of; `signal_ids` are the ids of the signals that the block is the first to reflect. Worlds that
    were stepped together share one `timings`. `world_id` names the world.
    """

    index: int
    frames: Tensor
    latents: range
    signal_ids: tuple[str, ...] = ()
    timings: Timings = field(default_factory=Timings)
    world_id: str = ""


@dataclass(frozen=True, slots=True)
class BlockRun:
    """The making of one block in every world of a batch: `world_ids` and the block's index in each."""

    world_ids: Sequence[str]
    blocks: Sequence[int]


@dataclass(frozen=True, slots=True)
class PassRun:
    """One forward of a batch: the worlds and, for each, its pass (they share the shape)."""

    world_ids: Sequence[str]
    passes: Sequence[Pass]
