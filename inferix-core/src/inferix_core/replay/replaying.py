"""A world made again from its log, and whether its frames are the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from inferix_core.contracts.model import Condition
from inferix_core.errors import ConfigError
from inferix_core.events import Block
from inferix_core.runtime.log import BlockRecord, ChangeRecord, SeedRecord, SignalRecord

if TYPE_CHECKING:
    from inferix_core.replay.recording import Recording
    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.world import World
    from inferix_core.signals import Signal


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedBlock:
    """A block that was made again. `seconds` is when it begins in the video.

    `is_same` says whether the log has the same hash for it, and the same signals until then. The hashes are a chain:
    where all blocks up to this one are the same, so are all their frames, bit for bit.
    """

    block: Block
    seconds: float
    is_same: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """How far a replay gave the same frames.

    `first_difference` is the first block that differs, None where all `num_blocks` that were compared are the same;
    `differences` is what is not as it was when the world began, and `is_cut_invariant` whether bits could be expected
    from another store. `change` is where the world went on under other circumstances, None if it never did; the
    `num_not_compared` blocks from there on cannot be made again in one engine.
    """

    num_blocks: int
    first_difference: ReplayedBlock | None
    differences: Sequence[str]
    is_cut_invariant: bool
    change: ChangeRecord | None = None
    num_not_compared: int = 0

    @property
    def is_verified(self) -> bool:
        """Whether every block that could be compared is the same; see `num_blocks` for how many these are."""
        return self.first_difference is None


class Replay:
    """A world that is told again what its log holds. Close it, or use it in a `with` statement."""

    def __init__(self, engine: Engine, recording: Recording) -> None:
        """A new world of `engine`, at its beginning. Raises what `Engine.create_world` raises."""
        self._recording = recording
        self._seeds: dict[int, list[int]] = {}
        self._script: dict[int, list[Signal]] = {}
        for record in recording.records:
            if isinstance(record, SignalRecord):
                self._script.setdefault(record.block, []).append(record.signal)
            elif isinstance(record, SeedRecord):
                self._seeds.setdefault(record.num_blocks, []).append(record.seed)
        given = recording.conditions.items()
        self._world = engine.create_world(
            seed=self._seeds[0].pop(0),
            prefix=recording.prefix,
            conditions={name: Condition(one.tokens.to(engine.device), one.memo) for name, one in given} or None,
            num_blocks=recording.horizon,
        )
        self._num_frames = 0

    @property
    def world(self) -> World:
        """The world as far as it has been made; once `blocks` has ended it can be told other things.

        It knows no signals of the log then but those that no block of the log reflects: see `Recording.unreached`.
        """
        return self._world

    def blocks(self, num_blocks: int | None = None) -> Iterator[ReplayedBlock]:
        """The blocks of the log, made when they are asked for; the first `num_blocks` of them if that is given.

        Where the world went on under other circumstances (`Recording.change`), the blocks until then. Raises
        `ConfigError` for more than that, and what `World.step` raises.
        """
        num_recorded, most = len(self._recording.digests), self._recording.num_comparable
        total = most if num_blocks is None else num_blocks
        if not 0 <= total <= most:
            change = self._recording.change
            settings = (
                "" if change is None else f", from block {most} on made under others ({', '.join(change.changes)})"
            )
            raise ConfigError(
                f"{total} blocks were asked for; the log has {num_recorded}{settings}. Ask for 0 to {most}."
            )
        return self._blocks(total)

    def close(self) -> None:
        """Gives the world's memory back. Safe to call twice."""
        self._world.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _blocks(self, total: int) -> Iterator[ReplayedBlock]:
        self._world.follow_script(self._script)
        self._change_seed()
        for num_records, record in self._expected(total)[self._world.num_blocks :]:
            seconds = self._num_frames / self._world.engine.geometry.fps
            block = self._world.step()
            log = self._world.log
            is_same = (log.num_records, log.digest) == (num_records, record.digest)
            self._num_frames += len(block.frames)
            self._change_seed()
            yield ReplayedBlock(block, seconds, is_same)
        is_whole = self._recording.change is None and total == len(self._recording.digests)
        unreached = {one.block for one in self._recording.unreached} if is_whole else ()
        self._world.follow_script({block: self._script[block] for block in unreached})

    def _expected(self, total: int) -> list[tuple[int, BlockRecord]]:
        """The records of the first `total` blocks, each with how many records there are up to it."""
        numbered = enumerate(self._recording.records, start=1)
        return [(number, one) for number, one in numbered if isinstance(one, BlockRecord)][:total]

    def _change_seed(self) -> None:
        """Draws noise with the seeds that the world was given at this boundary."""
        for seed in self._seeds.pop(self._world.num_blocks, ()):
            self._world.change_seed(seed)


def verify(engine: Engine, recording: Recording) -> Verification:
    """Makes the recorded world again, up to the first block whose frames are not the recorded ones."""
    with Replay(engine, recording) as replay:
        first = next((one for one in replay.blocks() if not one.is_same), None)
    return Verification(
        num_blocks=recording.num_comparable if first is None else first.block.index,
        first_difference=first,
        differences=recording.differences(engine),
        is_cut_invariant=recording.circumstances.is_cut_invariant,
        change=recording.change,
        num_not_compared=len(recording.digests) - recording.num_comparable,
    )
