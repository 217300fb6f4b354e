"""What happened to a world: every signal with the block it reached, every change of seed, a hash for every block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferix_core.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """A signal, and the first block that reflects it."""

    block: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class SeedRecord:
    """From here on, when `num_blocks` were finished, noise is drawn with another seed."""

    num_blocks: int
    seed: int


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A finished block, and the hash of all frames up to and including its own."""

    block: int
    digest: str


Record = SignalRecord | SeedRecord | BlockRecord


class WorldLog:
    """The records of one world in the order in which they came.

    Copies share the list of records until one of them adds to it after another has: snapshots and forks of an old
    world cost no more than those of a young one.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._shared = list(records)
        self._length = len(self._shared)
        self._digest = next((one.digest for one in reversed(self._shared) if isinstance(one, BlockRecord)), "")

    @property
    def records(self) -> Sequence[Record]:
        """All records."""
        return self._shared[: self._length]

    def add(self, record: SignalRecord | SeedRecord) -> None:
        """Adds what was told to the world."""
        self._append(record)

    def add_block(self, block: int, frames: Tensor) -> None:
        """Adds a finished block with the next link of the hash chain; `frames` are uint8 on the CPU."""
        link = hashlib.sha256(f"{self._digest} {block} {list(frames.shape)} ".encode())
        link.update(memoryview(frames.contiguous().numpy()))  # type: ignore[arg-type]  # numpy arrays are buffers
        self._digest = link.hexdigest()
        self._append(BlockRecord(block, self._digest))

    def copy(self) -> WorldLog:
        """A log with the same records that goes its own way."""
        twin = WorldLog()
        twin._shared, twin._length, twin._digest = self._shared, self._length, self._digest
        return twin

    def _append(self, record: Record) -> None:
        if len(self._shared) > self._length:  # another copy has gone on from here
            self._shared = self._shared[: self._length]
        self._shared.append(record)
        self._length += 1
