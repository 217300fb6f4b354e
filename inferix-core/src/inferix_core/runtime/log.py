"""What happened to a world: every signal with the block it reached, every change of seed, a hash for every block.

Where it went on under other circumstances, that too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferix_core.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.replay.recording import Origin


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


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """From here on, when `num_blocks` were finished, the world went on under other circumstances.

    `changes` are those that may change bits, each as `what: then → now`.
    """

    num_blocks: int
    changes: tuple[str, ...]


Record = SignalRecord | SeedRecord | BlockRecord | ChangeRecord


class WorldLog:
    """The records of one world in the order in which they came.

    Copies share the list of records until one of them adds to it after another has: snapshots and forks of an old
    world cost no more than those of a young one.
    """

    def __init__(self, records: Iterable[Record] = (), *, origin: Origin | None = None) -> None:
        """`origin` is what the world began with where that was another engine than the one that it lives in."""
        self._shared = list(records)
        self._length = len(self._shared)
        self._digest = next((one.digest for one in reversed(self._shared) if isinstance(one, BlockRecord)), "")
        self._origin = origin

    @property
    def records(self) -> Sequence[Record]:
        """All records."""
        return self._shared[: self._length]

    @property
    def num_records(self) -> int:
        """How many records there are."""
        return self._length

    @property
    def digest(self) -> str:
        """The hash of all frames until now, that of the last finished block; empty before the first."""
        return self._digest

    @property
    def origin(self) -> Origin | None:
        """What the world began with, None for one that began in the engine that it lives in."""
        return self._origin

    def add(self, record: SignalRecord | SeedRecord | ChangeRecord) -> None:
        """Adds what was told to the world, or what changed around it."""
        self._append(record)

    def add_block(self, block: int, frames: Tensor) -> None:
        """Adds a finished block with the next link of the hash chain; `frames` are uint8 on the CPU."""
        link = hashlib.sha256(f"{self._digest} {block} {list(frames.shape)} ".encode())
        link.update(memoryview(frames.contiguous().numpy()))  # type: ignore[arg-type]  # numpy arrays are buffers
        self._digest = link.hexdigest()
        self._append(BlockRecord(block, self._digest))

    def copy(self) -> WorldLog:
        """A log with the same records that goes its own way."""
        twin = WorldLog(origin=self._origin)
        twin._shared, twin._length, twin._digest = self._shared, self._length, self._digest
        return twin

    def _append(self, record: Record) -> None:
        if len(self._shared) > self._length:  # another copy has gone on from here
            self._shared = self._shared[: self._length]
        self._shared.append(record)
        self._length += 1
