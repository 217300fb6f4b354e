"""The weights in the package make the world that they are asked for, through the public engine."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from inferix_core import Engine, Signal
from inferix_tinyworld.segmentation import find_objects
from inferix_tinyworld.shipped import FOLDER, NETWORK, VAE
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.set_num_threads(1)
    return Engine.load("tinyworld")


def frames_of(engine: Engine, prompt: str, *, seed: int, signals: tuple[Signal | None, ...]) -> NDArray[np.uint8]:
    world = engine.create_world(prompt, seed=seed)
    return np.concatenate([world.step(signal).frames.numpy() for signal in signals])


def test_weights_settings_and_log_lie_together_in_at_most_20_megabytes() -> None:
    assert sum((FOLDER / name).stat().st_size for name in (NETWORK, VAE)) <= 20e6
    assert set(json.loads((FOLDER / "config.json").read_text())) >= {"vae", "dit"}
    assert "dit step" in (FOLDER / "training_log.txt").read_text()


def test_the_prompt_decides_colour_and_sky(engine: Engine) -> None:
    for prompt, color, sky in (
        ("a red ball rolls at night", "red", "night"),
        ("a green box rests by day", "green", "day"),
    ):
        seen = find_objects(frames_of(engine, prompt, seed=4, signals=(None, None, None))[9:])
        assert seen.color.count(color) > 0.8 * len(seen.color)
        assert seen.sky.count(sky) == len(seen.sky)


def test_a_new_prompt_changes_a_running_world(engine: Engine) -> None:
    change = Signal(prompt="a blue ball rests by day")
    frames = frames_of(engine, "a red ball rests at night", seed=6, signals=(None, None, change, None))
    assert find_objects(frames[12:21]).sky.count("night") == 9
    last = find_objects(frames[-9:])
    assert last.sky.count("day") == 9
    assert last.color.count("blue") > 6


def test_a_push_moves_the_object_that_way(engine: Engine) -> None:
    signals = (None, None, Signal(action="left"))
    left = find_objects(frames_of(engine, "a purple ball rests by day", seed=2, signals=signals))
    signals = (None, None, Signal(action="right"))
    right = find_objects(frames_of(engine, "a purple ball rests by day", seed=2, signals=signals))
    assert np.array_equal(left.x[:21], right.x[:21], equal_nan=True)
    assert right.x[26] - left.x[26] > 10.0


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_world(engine: Engine) -> None:
    one, again, other = (
        frames_of(engine, "a cyan box bounces at sunset", seed=seed, signals=(None, None)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
