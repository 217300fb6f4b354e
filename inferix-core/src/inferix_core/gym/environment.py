"""A world as a simulator: an action in, the frames of one block out.

Letters: T frames of a block, H and W their height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from inferix_core.errors import InferixError
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from inferix_core.events import Block
    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.world import World

Frames = NDArray[np.uint8]
"""`[T, H, W, 3]`."""
Action = str | Signal | None
"""What steers one block: the name of an action, a whole signal (a new prompt, say), or nothing."""


class Info(TypedDict):
    """What is known of a block beside its frames.

    `block` is its index in the world; `seconds` is how much video the environment has shown of the world, this block
    included; `signal_ids` are those that the block is the first to reflect; `timings` are seconds of computing by name.
    """

    block: int
    seconds: float
    signal_ids: tuple[str, ...]
    timings: dict[str, float]


class WorldEnvironment:
    """One world at a time, made anew by `reset`. Every step makes one block.

    The first block of a world may have fewer frames than later ones. The engine stays the caller's.
    """

    def __init__(self, engine: Engine, *, prompt: str | None = None) -> None:
        """`prompt` is what worlds begin with where `reset` is told no other."""
        self._engine = engine
        self._prompt = prompt
        self._world: World | None = None
        self._num_frames = 0

    @property
    def engine(self) -> Engine:
        """The engine that makes the worlds."""
        return self._engine

    @property
    def world(self) -> World:
        """The present world. Raises `InferixError` before the first `reset` or `load` and after `close`."""
        if self._world is None:
            raise InferixError("The environment has no world. Call reset, or load a saved one.")
        return self._world

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that the model's spec names; empty for an engine that was built without a configuration."""
        config = self._engine.config
        return () if config is None else config.model.actions

    def reset(self, seed: int | None = None, *, prompt: str | None = None) -> tuple[Frames, Info]:
        """The first block of a new world, made without an action; the earlier world is closed.

        Without a seed it is the engine's. Where the new world cannot be made, the earlier one stays.
        """
        world = self._engine.create_world(self._prompt if prompt is None else prompt, seed=seed)
        try:
            block = world.step()
        except BaseException:
            world.close()
            raise
        self._take(world)
        return self._shown(block)

    def step(self, action: Action = None) -> tuple[Frames, Info]:
        """The next block, under `action`.

        Raises `SignalError` for an action that the model does not know; like after any error, the world is as before.
        """
        signal = Signal(action=action) if isinstance(action, str) else action
        return self._shown(self.world.step(signal))

    def fork(self, num_children: int = 1, *, seeds: Sequence[int] | None = None) -> list[WorldEnvironment]:
        """Environments that go on from here, each on its own; see `World.fork`."""
        children = []
        for world in self.world.fork(num_children, seeds=seeds):
            child = WorldEnvironment(self._engine, prompt=self._prompt)
            child._world, child._num_frames = world, self._num_frames
            children.append(child)
        return children

    def save(self, path: str | Path) -> None:
        """Writes the world to a file; see `World.save`."""
        self.world.save(path)

    def load(self, path: str | Path) -> None:
        """Puts a saved world in the place of the present one; see `Engine.load_world`. Its `seconds` begin at 0."""
        self._take(self._engine.load_world(path))

    def close(self) -> None:
        """Closes the world. Safe to call twice; `reset` makes another."""
        if self._world is not None:
            self._world.close()
        self._world = None

    def __enter__(self) -> WorldEnvironment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, world: World) -> None:
        self.close()
        self._world, self._num_frames = world, 0

    def _shown(self, block: Block) -> tuple[Frames, Info]:
        self._num_frames += len(block.frames)
        seconds = self._num_frames / self._engine.geometry.fps
        info = Info(
            block=block.index, seconds=seconds, signal_ids=block.signal_ids, timings=dict(block.timings.seconds)
        )
        return block.frames.numpy(), info
