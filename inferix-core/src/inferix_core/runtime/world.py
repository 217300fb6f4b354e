"""A world: one live simulation that can be told things and stepped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from inferix_core.errors import ConfigError, InferixError, SignalError
from inferix_core.events import Block
from inferix_core.runtime.forking import fork_world
from inferix_core.runtime.journal import Journal
from inferix_core.runtime.log import SeedRecord, WorldLog
from inferix_core.runtime.noise import CounterNoise, checked_seed
from inferix_core.runtime.state import WorldState
from inferix_core.signals import Signal, TimedSignal

if TYPE_CHECKING:
    from inferix_core.runtime.engine import Engine


class World:
    """Made by `Engine.create_world`. Not safe to use from two threads at once."""

    def __init__(self, engine: Engine, state: WorldState) -> None:
        self._engine = engine
        self._state = state
        self._journal = Journal(engine.num_rewind_blocks)
        self._surplus: Block | None = None
        self._closed = False

    @property
    def id(self) -> str:
        """The world's name in events."""
        return self._state.id

    @property
    def engine(self) -> Engine:
        """The engine that made the world and steps it."""
        return self._engine

    @property
    def num_blocks(self) -> int:
        """How many blocks are finished."""
        return self._state.num_finished

    @property
    def num_kv_bytes(self) -> int:
        """Bytes of device memory that the world's keys and values take; forks may have some of them in common."""
        return sum(cache.num_bytes for cache in self._state.caches.values())

    @property
    def state(self) -> WorldState:
        """The live state, for the engine and its tools; not to be modified."""
        if self._closed:
            raise InferixError(f"World '{self.id}' is closed. Create another with engine.create_world.")
        return self._state

    def send(self, signal: Signal) -> None:
        """Queues a signal for the first block that has not begun. Raises `SignalError` if it makes no sense."""
        state = self.state
        if not isinstance(signal, Signal):
            raise SignalError(f"A world is told a Signal, e.g. Signal(prompt=…) or Signal(action=…); found {signal!r}.")
        with self._engine.together("send", world=self.id, signal=asdict(signal)):
            self._engine.queue_signal(state, signal)

    def step(self, signal: Signal | None = None) -> Block:
        """The next block. Blocks the caller until its frames are there; see `Engine.step`."""
        return self._engine.step([self], [signal])[0]

    def run(
        self,
        *,
        seconds: float | None = None,
        num_frames: int | None = None,
        signals: Sequence[TimedSignal] = (),
    ) -> Iterator[Block]:
        """Blocks with exactly `num_frames` (or `round(seconds * fps)`) frames in all.

        A timed signal reaches the first block that begins at or after its time, counted from the start of
        this run. Frames of the last block beyond the number stay in the world: the next run or step begins with
        them. What cannot be run is said at once: `ConfigError`, or `SignalError` for any of the signals.
        """
        total = self._num_frames(seconds, num_frames)
        for timed in signals:
            self._engine.check_signal(timed.signal)
        return self._blocks(total, sorted(signals, key=lambda timed: timed.seconds))

    def after_surplus(self, block: Block) -> Block:
        """The block behind the frames that the last run left over, which are given up with this; for the engine."""
        surplus, self._surplus = self._surplus, None
        if surplus is None:
            return block
        return replace(block, frames=torch.cat([surplus.frames, block.frames]))

    @property
    def surplus(self) -> Block | None:
        """The frames that the last run left over of a block, for saving."""
        return self._surplus

    def put_back(self, surplus: Block) -> None:
        """Makes these the frames that the last run left over, for loading."""
        self._surplus = surplus

    @property
    def log(self) -> WorldLog:
        """What happened to the world: its signals with the blocks they reached, and a hash for each block."""
        return self.state.log

    @property
    def journal(self) -> Journal:
        """The boundaries that the world can be rewound to, for the engine."""
        return self._journal

    def fork(self, num_children: int = 1, *, seeds: Sequence[int] | None = None) -> list[World]:
        """Worlds that go on from here, each on its own.

        They share this world's pages, where the store can, its decoder state and its conditions. `seeds`, one for each
        child, give the noise of what is still to come; without them children differ only by what they are told.
        Frames that a run left over stay with this world. A child can be rewound to this point, not beyond it.
        Raises `UnsupportedError` where the store cannot fork, `CapacityError` where it lacks room for a copy, and
        `ConfigError`; then there are no children.
        """
        return fork_world(self, num_children, seeds=seeds)

    def rewind(self, num_blocks: int) -> None:
        """Goes back to when `num_blocks` blocks were finished; what was told to the world since then is forgotten.

        Going on gives the same frames as never having gone on. Frames that a run left over are given up. Raises
        `UnsupportedError` where the journal (`world.num_rewind_blocks`) does not reach, and then changes nothing.
        """
        state = self.state
        earlier: WorldState | None = None
        try:
            with self._engine.together("rewind", world=self.id, num_blocks=num_blocks):
                earlier = self._journal.state_at(num_blocks, num_finished=state.num_finished)
        except BaseException:
            if earlier is not None:
                earlier.close()
            raise
        self._journal.forget_after(num_blocks)
        self._state, self._surplus = earlier, None
        state.close()

    def save(self, path: str | Path) -> None:
        """Writes the world to one file, from which `Engine.load_world` goes on; see there.

        The file is complete or not there: an earlier one under that name stays until then. Raises `OutputError` where
        it cannot be written, `UnsupportedError` for a world whose noise is not its seed's, or whose decoder or solver
        carries on what is no plain data. The journal is not saved.
        """
        from inferix_core.runtime.saving import save_world  # a world that is never saved needs none of it

        with self._engine.together("save", world=self.id):
            save_world(self, Path(path))

    def follow_script(self, script: Mapping[int, Sequence[Signal]]) -> None:
        """Tells the world now what it will be told before each of these blocks begins, for replays."""
        told = {str(block): [asdict(signal) for signal in signals] for block, signals in script.items()}
        with self._engine.together("script", world=self.id, script=told):
            self.state.script = script

    def change_seed(self, seed: int) -> None:
        """Draws the noise of what is still to come with another seed."""
        checked_seed(seed)
        with self._engine.together("reseed", world=self.id, seed=seed):
            state = self.state
            state.noise = CounterNoise(seed)
            state.log.add(SeedRecord(state.num_finished, seed))

    def close(self) -> None:
        """Gives the world's memory back. Safe to call twice."""
        if not self._closed:
            self._engine.forget(self)
            self._journal.close()
            self._state.close()
        self._closed = True

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _blocks(self, total: int, waiting: list[TimedSignal]) -> Iterator[Block]:
        fps = self._engine.geometry.fps
        num_given = 0
        while num_given < total:
            block = self._surplus
            self._surplus = None
            if block is None:
                while waiting and round(waiting[0].seconds * fps) <= num_given:
                    self.send(waiting.pop(0).signal)
                block = self.step()
            keep = min(len(block.frames), total - num_given)
            if keep < len(block.frames):
                self._surplus = replace(block, frames=block.frames[keep:], signal_ids=())
                block = replace(block, frames=block.frames[:keep])
            num_given += keep
            yield block

    def _num_frames(self, seconds: float | None, num_frames: int | None) -> int:
        if (seconds is None) == (num_frames is None):
            raise ConfigError("World.run takes either seconds or num_frames.")
        fps = self._engine.geometry.fps
        if num_frames is None:
            num_frames = round((seconds or 0.0) * fps)
        if num_frames < 1:
            asked = "" if seconds is None else f"{seconds:g} s at {fps:g} frames/s are "
            raise ConfigError(f"{asked}{num_frames} frames. Ask for at least 1 frame, {1.0 / fps:g} s.")
        return num_frames
