"""What the engine reports: blocks with their timings, and the moments that hooks may wrap."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.plan import Pass


class Timings:
    """Seconds spent in named spans (encode, pass, commit, decode) while one block was made.

    Spans do not overlap. On an asynchronous device they measure the host's time.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Adds the time of the body to `name`, also when the body raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    @property
    def total(self) -> float:
        """The sum over all spans."""
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A finished block as it is handed out.

    `frames` is `[T, H, W, 3]` uint8 on the CPU; `latents` names the absolute latents it was made
    of; `signal_ids` are the ids of the signals that the block is the first to reflect. Worlds that
    were stepped together share one `timings`.
    """

    index: int
    frames: Tensor
    latents: range
    signal_ids: tuple[str, ...] = ()
    timings: Timings = field(default_factory=Timings)


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
