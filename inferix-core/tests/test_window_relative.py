"""Keys that are rotated when they are read, by their place among what a block sees."""

from collections.abc import Sequence

import pytest
import torch
from inferix_core.plan import Entry
from inferix_core.runtime.engine import Engine
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyModel, ToyPlanner, ToyRotary, ToyStaggeredPlanner
from torch import Tensor

TABLE_LENGTH = 1024
"""Positions for which Wan's official code has rotary angles."""


class Window:
    """The last latents, and those of a sink."""

    def __init__(self, num_latents: int, *, num_sink_latents: int = 0) -> None:
        self._num_latents = num_latents
        self._num_sink_latents = num_sink_latents

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        return self._within(held, upcoming.stop)

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        return self._within(available, entry.latents.stop)

    def capacity(self, num_block_latents: int) -> int | None:
        return self._num_latents + self._num_sink_latents

    def _within(self, latents: Sequence[int], end: int) -> list[int]:
        return [x for x in latents if x >= end - self._num_latents or x < self._num_sink_latents]


class RotaryOfTable(ToyRotary):
    """Has angles for the positions of a table alone."""

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]]) -> Tensor:
        beyond = [position for row in positions for position in row if not 0 <= position < TABLE_LENGTH]
        if beyond:
            raise IndexError(f"The table has {TABLE_LENGTH} positions; {beyond[0]} was asked for.")
        return super().rotate(x, positions)


def model_of_table() -> ToyModel:
    model = ToyModel()
    for layer in model.layers:
        layer._rotary = RotaryOfTable()  # type: ignore[attr-defined]
    return model


def frames(engine: Engine, num_blocks: int) -> Tensor:
    with engine.create_world("a", seed=1) as world:
        return torch.cat([world.step().frames for _ in range(num_blocks)]).float()


@pytest.mark.parametrize("planner", [ToyPlanner(), ToyStaggeredPlanner()], ids=["plain", "staggered"])
def test_in_a_window_without_a_sink_only_distances_count(planner: ToyPlanner) -> None:
    absolute = toy_engine(policy=Window(6), planner=planner)
    relative = toy_engine(policy=Window(6), planner=planner, window_relative=True)
    difference = (frames(absolute, 8) - frames(relative, 8)).abs()
    assert float(difference.max()) <= 1.0, "one grey level, from the order of rounding"


def test_behind_a_sink_the_window_follows_at_once() -> None:
    policy = Window(4, num_sink_latents=2)
    absolute = frames(toy_engine(policy=policy), 8)
    relative = frames(toy_engine(policy=policy, window_relative=True), 8)
    assert float((absolute[:13] - relative[:13]).abs().max()) <= 1.0, "nothing lies between sink and window yet"
    assert float((absolute[30:] - relative[30:]).abs().max()) > 1.0


def test_a_world_lives_three_times_as_long_as_the_table_of_angles() -> None:
    changes = {"model": model_of_table(), "planner": ToyPlanner(num_block_latents=48), "policy": Window(96)}
    num_blocks = 3 * TABLE_LENGTH // 48 + 1
    with pytest.raises(IndexError, match="1024 was asked for"):
        frames(toy_engine(**changes), num_blocks)
    made = frames(toy_engine(**changes, window_relative=True), num_blocks)
    assert len(made) == 4 * 48 * num_blocks - 3
    assert float(made[-100:].std()) > 1.0


def test_worlds_of_different_age_share_a_pass() -> None:
    engine = toy_engine(policy=Window(4), window_relative=True)
    old, young = engine.create_world("a", seed=1), engine.create_world("b", seed=2)
    for _ in range(4):
        old.step()
    alone = frames(engine, 5)[-8:]
    together = engine.step([old, young])[0].frames.float()
    assert float((together - alone).abs().max()) <= 1.0
