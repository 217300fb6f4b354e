"""Blocks of a world whose signals are known beforehand: each is decoded while the next one is denoised.

What is made early is made in a fork of the world. The world itself stays as it was after the last block that was given
out until the next one is given out, when the fork takes its place: to look at the world between blocks, to tell it
something or to leave off costs at most a block that is made again, and nothing has to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from loguru import logger

from inferix_core.errors import CapacityError
from inferix_core.events import Block, BlockRun, Timings
from inferix_core.runtime.log import BlockRecord, WorldLog
from inferix_core.runtime.transaction import Transaction

if TYPE_CHECKING:
    from inferix_core.runtime.decoding import Decoded
    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.finished import Finished
    from inferix_core.runtime.state import WorldState
    from inferix_core.runtime.world import World
    from inferix_core.signals import Signal

Following = Callable[[int], Sequence["Signal"] | None]
"""What the next block is told, given how many frames this one has; None where there is no next one."""


@dataclass(slots=True, eq=False)
class DenoisedBlock:
    """A block that waits to be decoded; `state` is a fork of its world's in which it is finished.

    The log in there begins with the block, and the decoder's state is that of before. `making` holds the wrappers
    around the making of the block, which end when it is given out or given up.
    """

    state: WorldState
    finished: Finished
    timings: Timings
    making: ExitStack

    def close(self) -> None:
        """Gives the block up."""
        try:
            self.making.__exit__(GeneratorExit, GeneratorExit(), None)
        finally:
            self.state.close()


class Lookahead:
    """The blocks of one run. Between two of them it may hold the next one, denoised.

    A run that can make nothing ahead goes on without forks: these need room for a block more than the world itself.
    """

    def __init__(self, engine: Engine, world: World) -> None:
        self._engine = engine
        self._world = world
        self._ahead: DenoisedBlock | None = None
        self._goes_on = True

    def step(self, told: Sequence[Signal], *, following: Following) -> Block:
        """The next block, which is told those signals; the one after it is denoised meanwhile.

        Whatever is raised, the world is as after the block before, and has heard of the signals. What goes wrong
        ahead is not raised: the step that asks for that block makes it again, and no more is made ahead.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            for signal in told:
                self._world.send(signal)
            return self._stepped(following)
        try:
            return self._given(ahead, following)
        except BaseException:
            for signal in told:
                self._world.send(signal)
            raise

    def give_up(self) -> None:
        """Lets go of what was made ahead; the next step makes it again."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.close()

    def _stepped(self, following: Following) -> Block:
        """The next block, of which nothing has been made."""
        if self._goes_on:
            try:
                block = self._denoised(self._world.state, ())
            except CapacityError as error:
                logger.debug(f"A block could not be made in a fork, and no more is: {error}")
                self._goes_on = False
            else:
                return self._given(block, following)
        return self._world.step()

    def _given(self, block: DenoisedBlock, following: Following) -> Block:
        """The block with its frames, after which the world is in the block's state."""
        with ExitStack() as undo:
            undo.callback(block.close)
            num_frames = self._num_frames(block.finished)
            told = following(num_frames) if self._goes_on and block.finished.anchor is None else None
            if told is None:
                decoded, ahead = self._decoded(block), None
            else:
                decoded, ahead = self._decoded_meanwhile(block, told)
            if ahead is not None:
                undo.callback(ahead.close)
            if ahead is not None and len(decoded.frames) != num_frames:
                logger.debug(f"A block has {len(decoded.frames)} frames and not {num_frames}: no more is made ahead.")
                ahead.close()
                self._goes_on, ahead = False, None
            given = self._finished(block, decoded)
            undo.pop_all()
        if ahead is not None:
            self._ahead = ahead
            self._world.look_ahead(self)
        self._engine.parts.relay.frames(given)
        return given

    def _decoded(self, block: DenoisedBlock) -> Decoded:
        with torch.inference_mode():
            return self._engine.decoding.decode(
                block.finished,
                self._world.state.decoder_state,
                timings=block.timings,
                world_id=block.state.id,
            )

    def _decoded_meanwhile(self, block: DenoisedBlock, told: Sequence[Signal]) -> tuple[Decoded, DenoisedBlock | None]:
        running = self._engine.decoding.begin(
            block.finished,
            self._world.state.decoder_state,
            timings=block.timings,
            world_id=block.state.id,
        )
        ahead = None
        try:
            try:
                ahead = self._denoised(block.state, told)
            except Exception as error:  # whatever it is, who asks for the block is told
                logger.debug(f"A block could not be made ahead, and no more is: {error!r}")
                self._goes_on = False
            return running.result(), ahead
        except BaseException:
            running.abandon()
            if ahead is not None:
                ahead.close()
            raise

    def _denoised(self, before: WorldState, told: Sequence[Signal]) -> DenoisedBlock:
        """The block after `before`, which stays as it is."""
        engine, timings = self._engine, self._engine.new_timings()
        state = before.fork()
        try:
            state.log = WorldLog()
            for signal in told:
                engine.queue_signal(state, signal)
            plan = engine.denoising.plan(state)
            run = BlockRun([state.id], [state.num_finished])
            with torch.inference_mode(), ExitStack() as making:
                making.enter_context(engine.parts.relay.run_block(run))
                with Transaction([state]) as transaction:
                    (finished,) = engine.denoising.run([state], [plan], transaction=transaction, timings=timings)
                return DenoisedBlock(state, finished, timings, making.pop_all())
        except BaseException:
            state.close()
            raise

    def _finished(self, block: DenoisedBlock, decoded: Decoded) -> Block:
        """Puts the world in the block's state, or raises and leaves it as it is."""
        before, state, finished = self._world.state, block.state, block.finished
        log = before.log.copy()
        for record in state.log.records:
            if not isinstance(record, BlockRecord):
                log.add(record)
        log.add_block(finished.block, decoded.frames)
        state.log, state.decoder_state = log, decoded.state
        state.num_frames = before.num_frames + len(decoded.frames)
        block.making.close()
        boundary = self._world.journal.boundary(state)
        self._world.go_on_from(state)
        if boundary is not None:
            self._world.journal.keep(boundary)
        return Block(
            finished.block, decoded.frames, finished.span, finished.signal_ids, block.timings, world_id=state.id
        )

    def _num_frames(self, block: Finished) -> int:
        """How many frames the decoder should make of a block."""
        return block.num_frames(self._engine.geometry)
