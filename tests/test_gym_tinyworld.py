"""The simulator face with the embedded world: pushes, planning by forks, episodes of Gymnasium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from inferix_core import Engine
from inferix_core.gym import Frames, GymnasiumWorld, WorldEnvironment
from inferix_tinyworld.scene import ACTIONS
from inferix_tinyworld.segmentation import find_objects

PROMPT = "a red ball rests by day"
SETTINGS = ["kv.store.use=paged", "num_threads=1", "num_decoder_threads=1"]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load("tinyworld", overrides=SETTINGS)


@pytest.fixture
def environment(engine: Engine) -> Iterator[WorldEnvironment]:
    with WorldEnvironment(engine, prompt=PROMPT) as made:
        yield made


def position(frames: Frames) -> float:
    """Where the object was last seen, in pixels from the left."""
    x = find_objects(frames).x
    return float(x[~np.isnan(x)][-1])


def test_the_actions_are_those_of_the_model(environment: WorldEnvironment) -> None:
    assert environment.actions == ACTIONS


def test_a_push_moves_the_ball_that_way_and_its_fork_the_other(environment: WorldEnvironment) -> None:
    environment.reset(seed=4)
    start = position(environment.step()[0])
    (other,) = environment.fork()
    assert position(environment.step("right")[0]) > start + 4.0
    assert position(other.step("left")[0]) < start - 4.0
    other.close()


def test_planning_by_forks_finds_the_push_to_the_left(environment: WorldEnvironment) -> None:
    environment.reset(seed=4)
    environment.step()
    actions = ("none", "left", "right")
    children = environment.fork(len(actions))
    scores = [-position(child.step(action)[0]) for child, action in zip(children, actions, strict=True)]
    for child in children:
        child.close()
    assert actions[int(np.argmax(scores))] == "left"


def test_a_saved_world_goes_on_as_it_would_have(environment: WorldEnvironment, tmp_path: Path) -> None:
    environment.reset(seed=2)
    environment.save(tmp_path / "saved.world")
    expected, _ = environment.step("left")
    environment.load(tmp_path / "saved.world")
    frames, info = environment.step("left")
    assert np.array_equal(frames, expected)
    assert (info["block"], info["seconds"]) == (1, 0.75)


def test_an_episode_of_gymnasium_is_one_of_the_world(engine: Engine) -> None:
    world = GymnasiumWorld(engine, prompt=PROMPT, max_blocks=2, reward=lambda frames, info: position(frames))
    observed, _ = world.reset(seed=4)
    assert world.observation_space.contains(observed)
    observed, reward, terminated, truncated, info = world.step(np.int64(ACTIONS.index("right")))
    assert observed.shape == (128, 128, 3)
    assert (reward, info["block"]) == (position(observed[None]), 1)
    assert (terminated, truncated) == (False, True)
    world.close()
