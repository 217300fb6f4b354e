"""A world: one live simulation that can be told things and stepped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from loguru import logger

from inferix_core.errors import ConfigError, InferixError, SignalError
from inferix_core.events import Block
from inferix_core.runtime.forking import fork_world
from inferix_core.runtime.journal import Journal
from inferix_core.runtime.log import SeedRecord, WorldLog
from inferix_core.runtime.lookahead import Lookahead
from inferix_core.runtime.noise import CounterNoise, checked_seed
from inferix_core.runtime.reach import check_reach
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
        self._lookahead: Lookahead | None = None
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
        """The live state, for the engine and its tools; not to be modified.

        Whoever asks for it may change it, so that what a run has made ahead of it is given up.
        """
        self._check_open()
        self._give_up_ahead()
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

        A timed signal reaches the first block that begins at or after its time, or once so many blocks are finished,
        both counted from the start of this run; of several for one block the last counts, those by blocks after those
        by seconds. One whose time never comes costs a warning. Frames of the last block beyond the number stay in the
        world: the next run or step begins with them. What cannot be run is said at once: `ConfigError`,
        `UnsupportedError` for more frames than the world will have, or `SignalError` for any of the signals.
        """
        total = self._num_frames(seconds, num_frames)
        check_reach(
            self._engine.parts.planner,
            self.state.progress,
            geometry=self._engine.geometry,
            num_frames=total - (0 if self._surplus is None else len(self._surplus.frames)),
        )
        for timed in signals:
            self._engine.check_signal(timed.signal)
        return self._blocks(total, sorted(signals, key=lambda timed: timed.place))

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
        self._check_open()
        return self._state.log

    def look_ahead(self, lookahead: Lookahead) -> None:
        """Tells the world who has made something ahead of it, to be given up when somebody else touches the world."""
        self._lookahead = lookahead

    def go_on_from(self, state: WorldState) -> None:
        """Puts the world in a state that was made ahead of its own, which is closed."""
        before, self._state = self.state, state
        before.close()

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
            self._give_up_ahead()
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
        lookahead = Lookahead(self._engine, self) if self._engine.overlaps_decode else None
        num_given = num_made = 0

        def following(num_frames: int) -> list[Signal] | None:
            num_then = num_given + num_frames
            if num_then >= total:
                return None
            due = _due(waiting, num_blocks=num_made + 1, num_frames=num_then, fps=fps)
            return [timed.signal for timed in due]

        try:
            while num_given < total:
                block = self._surplus
                self._surplus = None
                if block is None:
                    due = _due(waiting, num_blocks=num_made, num_frames=num_given, fps=fps)
                    waiting = [timed for timed in waiting if timed not in due]
                    told = [timed.signal for timed in due]
                    block = self._told_step(told) if lookahead is None else lookahead.step(told, following=following)
                    num_made += 1
                keep = min(len(block.frames), total - num_given)
                if keep < len(block.frames):
                    self._surplus = replace(block, frames=block.frames[keep:], signal_ids=())
                    block = replace(block, frames=block.frames[:keep])
                num_given += keep
                yield block
        finally:
            if lookahead is not None:
                lookahead.give_up()
        for timed in waiting:
            logger.warning(f"The run was over before the time of {timed}: nothing was told.")

    def _told_step(self, signals: Sequence[Signal]) -> Block:
        for signal in signals:
            self.send(signal)
        return self.step()

    def _check_open(self) -> None:
        if self._closed:
            raise InferixError(f"World '{self.id}' is closed. Create another with engine.create_world.")

    def _give_up_ahead(self) -> None:
        if self._lookahead is not None:
            self._lookahead.give_up()
        self._lookahead = None

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


def _due(waiting: Sequence[TimedSignal], *, num_blocks: int, num_frames: int, fps: float) -> list[TimedSignal]:
    """The signals whose time has come when a run has finished so many blocks and given so many frames."""
    return [timed for timed in waiting if timed.is_due(num_blocks=num_blocks, num_frames=num_frames, fps=fps)]
