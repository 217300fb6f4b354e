"""A world made again from its log, and whether its frames are the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from inferix_core.errors import ConfigError
from inferix_core.events import Block
from inferix_core.runtime.log import BlockRecord, SeedRecord, SignalRecord
from inferix_core.runtime.noise import CounterNoise

if TYPE_CHECKING:
    from inferix_core.replay.recording import Recording
    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.world import World
    from inferix_core.signals import Signal


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedBlock:
    """A block that was made again. `seconds` is when it begins in the video.

    `is_same` says whether the log has the same hash for it. The hashes are a chain: where all blocks up to this one
    are the same, so are all their frames, bit for bit.
    """

    block: Block
    seconds: float
    is_same: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """How far a replay gave the same frames.

    `first_difference` is the first block that differs, None where all `num_blocks` are the same; `differences` is what
    is not as it was when the log was written, and `is_cut_invariant` whether bits could be expected from another store.
    """

    num_blocks: int
    first_difference: ReplayedBlock | None
    differences: Sequence[str]
    is_cut_invariant: bool

    @property
    def is_verified(self) -> bool:
        """Whether every block is the same."""
        return self.first_difference is None


class Replay:
    """A world that is told again what its log holds. Close it, or use it in a `with` statement."""

    def __init__(self, engine: Engine, recording: Recording) -> None:
        """A new world of `engine`, at its beginning. Raises what `Engine.create_world` raises."""
        self._recording = recording
        self._seeds: dict[int, list[int]] = {}
        script: dict[int, list[Signal]] = {}
        for record in recording.records:
            if isinstance(record, SignalRecord):
                script.setdefault(record.block, []).append(record.signal)
            elif isinstance(record, SeedRecord):
                self._seeds.setdefault(record.num_blocks, []).append(record.seed)
        self._world = engine.create_world(
            seed=self._seeds[0].pop(0), prefix=recording.prefix, num_blocks=recording.horizon
        )
        self._world.state.script = script
        self._num_frames = 0

    @property
    def world(self) -> World:
        """The world as far as it has been made; once `blocks` has ended it can be told other things."""
        return self._world

    def blocks(self, num_blocks: int | None = None) -> Iterator[ReplayedBlock]:
        """The blocks of the log, made when they are asked for; the first `num_blocks` of them if that is given.

        Raises `ConfigError` for more than the log has, and what `World.step` raises.
        """
        digests = self._recording.digests
        total = len(digests) if num_blocks is None else num_blocks
        if not 0 <= total <= len(digests):
            raise ConfigError(
                f"{total} blocks were asked for; the log has {len(digests)}. Ask for 0 to {len(digests)}."
            )
        return self._blocks(digests[:total])

    def close(self) -> None:
        """Gives the world's memory back. Safe to call twice."""
        self._world.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _blocks(self, digests: Sequence[str]) -> Iterator[ReplayedBlock]:
        self._change_seed()
        for digest in digests[self._world.num_blocks :]:
            seconds = self._num_frames / self._world.engine.geometry.fps
            block = self._world.step()
            found = next(one for one in reversed(self._world.log.records) if isinstance(one, BlockRecord))
            self._num_frames += len(block.frames)
            self._change_seed()
            yield ReplayedBlock(block, seconds, found.digest == digest)
        self._world.state.script = {}

    def _change_seed(self) -> None:
        """Draws noise with the seeds that the world was given at this boundary."""
        state = self._world.state
        for seed in self._seeds.pop(state.num_finished, ()):
            state.noise = CounterNoise(seed)
            state.log.add(SeedRecord(state.num_finished, seed))


def verify(engine: Engine, recording: Recording) -> Verification:
    """Makes the recorded world again, up to the first block whose frames are not the recorded ones."""
    with Replay(engine, recording) as replay:
        first = next((one for one in replay.blocks() if not one.is_same), None)
    return Verification(
        num_blocks=len(recording.digests) if first is None else first.block.index,
        first_difference=first,
        differences=recording.differences(engine),
        is_cut_invariant=recording.circumstances.is_cut_invariant,
    )
