"""The pond is right, its memory is the KV cache, and landmarks are kept."""

import torch
from inferix_core import Engine, Signal
from inferix_core.plan import Entry, Level
from inferix_example.config import LandmarksConfig
from inferix_example.landmarks import LandmarksPolicy
from torch import Tensor


def frames(*actions: str, prompt: str = "still", **config: object) -> list[Tensor]:
    """The frames of one block for each action, as floats."""
    world = Engine.load("pond", config={"num_threads": 1, **config}).create_world(prompt, seed=1)
    return [world.step(Signal(action=action)).frames.float() for action in actions]


def test_still_water_stays_still_and_a_drop_makes_a_ring_around_the_middle() -> None:
    still, rings = frames("none", "drop")
    assert (still == still[0]).all()
    moved = (rings[-1] - still[0]).abs()
    assert moved[36:60, 52:76].mean() > 20 * moved[:8].mean()


def test_waves_are_the_same_however_the_pond_is_cut_into_blocks() -> None:
    whole = torch.cat(frames("drop", "none", "none"))
    single = torch.cat(frames("drop", *["none"] * 8, planner={"num_block_latents": 1}))
    assert whole.shape == single.shape
    assert (whole - single).abs().max() <= 1


def test_a_pond_that_sees_no_page_forgets_its_waves() -> None:
    policy = {"use": "landmarks", "num_recent_latents": 3, "every": 1000}
    remembers = frames("none", "drop", "none")[-1]
    forgets = frames("none", "drop", "none", kv={"policy": policy})[-1]
    assert remembers.std(0).max() > 0
    assert (forgets[1:] == forgets[1]).all()  # all it may see is the still water of latent 0


def test_a_recall_brings_back_the_oldest_page() -> None:
    blocks = frames("none", "drop", "recall")
    assert (blocks[2][-1] == blocks[0][0]).all()
    assert (blocks[1][-1] != blocks[0][0]).any()


def test_springs_are_where_the_prompt_puts_them_and_seeds_are_winds() -> None:
    moved = (frames("none", prompt="a spring in the west")[0][-1] - frames("none")[0][0]).abs()
    assert moved[36:60, 12:36].mean() > 20 * moved[36:60, 76:100].mean()
    windy = Engine.load("pond", config={"model": {"wind": 0.05}})
    assert (windy.create_world(seed=1).step().frames != windy.create_world(seed=2).step().frames).any()


def test_landmarks_and_the_last_latents_stay() -> None:
    policy = LandmarksPolicy(LandmarksConfig(every=4, num_recent_latents=3))
    assert policy.retained(range(9), upcoming=range(9, 11)) == [0, 4, 8]
    assert policy.visible(Entry(9, range(9, 11), 9, Level(0, 1.0, 1.0)), [0, 4, 8, 9, 10]) == [0, 4, 8, 9, 10]
