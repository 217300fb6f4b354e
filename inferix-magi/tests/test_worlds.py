"""Worlds of MAGI-1 through the engine: several blocks in flight, each with its own prompt, and what becomes of them."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from inferix_core import Block, ConfigError, Engine, Signal, UnsupportedError, World
from inferix_core.errors import PlanError
from inferix_core.plan import Pass
from torch import Tensor

TINY = {"model": {"preset": "tiny-random", "height": 32, "width": 48}, "planner": {"num_steps": 4}}
ONE_THREAD = ("num_threads=1", "num_decoder_threads=1", "device=cpu", "dtype=float32")
DISTILLED = ("planner.guidance=distilled", "model.distilled=true", "planner.num_steps=12")
KINDS = {"three-way": ("planner.num_steps=8",), "distilled": DISTILLED}
"""More than one step a stage, so that pages are read and not only the drafts that they are made of."""
FRAMES_OF_A_BLOCK = 24


@cache
def engine(*overrides: str) -> Engine:
    return Engine.load("magi", config=TINY, overrides=(*ONE_THREAD, *overrides))


def frames(world: World, num_blocks: int) -> Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


def pictures(num_frames: int, *, seed: int = 0) -> Tensor:
    """[T, h, w, 3] uint8, of another size than the model's."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num_frames, 40, 40, 3), dtype=torch.uint8, generator=generator)


def beginnings() -> dict[str, Callable[[Engine], World]]:
    return {
        "text": lambda one: one.create_world("a red ball", seed=3),
        "picture": lambda one: one.create_world("a red ball", seed=3, frames=pictures(1)),
        "video": lambda one: one.create_world("a red ball", seed=3, frames=pictures(32)),
    }


def test_a_block_is_there_as_soon_as_it_is_finished_with_the_next_ones_in_flight() -> None:
    with engine().create_world("a ball") as world:
        block = world.step()
        assert block.index == 0
        assert len(block.frames) == FRAMES_OF_A_BLOCK
        assert sorted(world.state.flying) == [1, 2, 3]
        assert sorted(world.state.clean) == [0]


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    made = [frames(engine().create_world("a ball", seed=seed), 2) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_prompt_reaches_the_next_block_that_begins_and_no_block_in_flight(kind: str) -> None:
    one, other = (engine(*KINDS[kind]).create_world("a red ball", seed=1) for _ in range(2))
    first = [world.step().frames for world in (one, other)]
    other.send(Signal(prompt="a blue box falls", id="told"))
    one_blocks, other_blocks = [one.step() for _ in range(4)], [other.step() for _ in range(4)]
    assert torch.equal(*first)
    same = [torch.equal(a.frames, b.frames) for a, b in zip(one_blocks, other_blocks, strict=True)]
    assert same == [True, True, True, False], "blocks 1 to 3 were in flight, block 4 had not begun"
    assert [block.signal_ids for block in other_blocks] == [(), (), (), ("told",)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beginning", beginnings())
def test_a_fork_goes_on_as_its_parent_would_have_and_apart_when_told_otherwise(kind: str, beginning: str) -> None:
    parent = beginnings()[beginning](engine(*KINDS[kind]))
    frames(parent, 2)
    same, other = parent.fork(2)
    other.send(Signal(prompt="a blue box falls"))
    made = [frames(world, 4) for world in (parent, same, other)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize("beginning", beginnings())
def test_rewinding_gives_the_same_frames_as_never_having_gone_on(beginning: str) -> None:
    world = beginnings()[beginning](engine(*KINDS["three-way"], "world.num_rewind_blocks=3"))
    frames(world, 2)
    expected = frames(world, 3)
    world.rewind(2)
    assert len(world.state.flying) == 3, "blocks were in flight at that boundary"
    assert torch.equal(frames(world, 3), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beginning", beginnings())
def test_a_saved_world_goes_on_with_its_blocks_in_flight(kind: str, beginning: str, tmp_path: Path) -> None:
    world = beginnings()[beginning](engine(*KINDS[kind]))
    frames(world, 2)
    assert len(world.state.flying) == 3
    world.send(Signal(prompt="at night"))
    world.save(tmp_path / "a.world")
    expected = frames(world, 3)
    assert torch.equal(frames(engine(*KINDS[kind]).load_world(tmp_path / "a.world"), 3), expected)


def test_a_long_world_holds_what_can_still_be_seen_and_no_more() -> None:
    world = engine().create_world("a ball")
    counted = []
    for _ in range(10):
        world.step()
        state = world.state
        num_held = len(state.caches["main"].held)
        counted.append((num_held, len(state.committed), len(state.flying), len(state.clean), world.num_kv_bytes))
    assert len(set(counted[3:])) == 1
    assert counted[-1][0] <= engine().parts.policy.capacity(engine().parts.planner.num_block_latents)


def test_what_is_not_attended_any_more_has_no_part_in_what_follows() -> None:
    """A narrow range forgets the beginning: worlds that differ in it alone come to the same blocks."""
    narrow = engine("kv.policy.num_visible_blocks=[1,1,1,1]")
    made = []
    for seed in (1, 2):
        noise = MixedNoise(seed_of_first=seed)
        made.append([block.frames for block in steps(narrow.create_world("a ball", noise=noise), 3)])
    assert not torch.equal(made[0][0], made[1][0])
    assert torch.equal(made[0][2], made[1][2])


class MixedNoise:
    """Noise whose first block is another world's."""

    def __init__(self, *, seed_of_first: int) -> None:
        self._seed_of_first = seed_of_first

    def draw(self, latents: range, *, level: int, shape: Sequence[int]) -> Tensor:
        seed = self._seed_of_first if latents.start == 0 else 100 + latents.start
        return torch.randn(len(latents), *shape, generator=torch.Generator().manual_seed(seed))


def steps(world: World, num_blocks: int) -> list[Block]:
    return [world.step() for _ in range(num_blocks)]


def test_worlds_in_one_batch_are_as_each_alone() -> None:
    alone = [frames(engine().create_world(prompt, seed=seed), 2) for seed, prompt in enumerate(("a ball", "a box"))]
    worlds = [engine().create_world(prompt, seed=seed) for seed, prompt in enumerate(("a ball", "a box"))]
    together = [engine().step(worlds) for _ in range(2)]
    for index, expected in enumerate(alone):
        made = torch.cat([blocks[index].frames for blocks in together])
        assert int((made.int() - expected.int()).abs().max()) <= 1


def test_a_world_with_an_end_makes_fewer_passes_and_the_same_blocks() -> None:
    ending, endless = (engine().create_world("a ball", seed=1, num_blocks=num) for num in (5, None))
    num_entries = [0, 0]
    for index, world in enumerate((ending, endless)):
        for _ in range(5):
            plan = engine().parts.planner.plan(world.state.progress)
            num_entries[index] += sum(len(op.entries) for op in plan if isinstance(op, Pass))
            last = world.step()
        assert last.index == 4
    assert num_entries[0] < num_entries[1]
    with pytest.raises(UnsupportedError, match="has made all 5 blocks"):
        ending.step()


@pytest.mark.parametrize("num_blocks", [1, 2, 3])
def test_a_world_shorter_than_the_window_has_all_its_blocks(num_blocks: int) -> None:
    short = engine().create_world("a ball", seed=1, num_blocks=num_blocks)
    long = engine().create_world("a ball", seed=1)
    assert torch.equal(frames(short, num_blocks), frames(long, num_blocks)), "random weights know no durations"


def test_a_picture_is_shown_as_it_was_drawn_into_the_first_block_and_a_video_is_left_out() -> None:
    with beginnings()["picture"](engine()) as world:
        assert len(world.step().frames) == FRAMES_OF_A_BLOCK
        assert world.state.prefix is not None
        assert world.state.prefix.shape[0] == 1
    with beginnings()["video"](engine()) as world:
        first, second, third = steps(world, 3)
        assert [first.latents, second.latents, third.latents] == [range(6, 6), range(8, 12), range(12, 18)]
        assert len(first.frames) == 0
        assert len(third.frames) == FRAMES_OF_A_BLOCK


def test_pictures_and_videos_and_nothing_give_different_worlds() -> None:
    made = [frames(begin(engine()), 3)[-FRAMES_OF_A_BLOCK:] for begin in beginnings().values()]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(made[one], made[other])


def test_a_picture_of_another_aspect_is_stretched_unless_told_otherwise() -> None:
    wide = pictures(1)[:, :20]
    untold, stretched, cropped = (
        engine().create_world("a ball", seed=1, frames=wide, fit=fit).step().frames for fit in (None, "stretch", "crop")
    )
    assert torch.equal(untold, stretched)
    assert not torch.equal(untold, cropped)


def test_of_a_video_the_first_32_frames_count() -> None:
    video = pictures(40)
    made = [frames(engine().create_world("a ball", frames=one, seed=1), 2) for one in (video, video[:32], video[8:])]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_a_prefix_longer_than_the_video_is_refused_before_anything_is_made() -> None:
    with pytest.raises(PlanError, match="prefix of 8 latents was given, but the world ends after 1 blocks"):
        engine().create_world("a ball", frames=pictures(32), num_blocks=1)


def test_a_video_too_short_for_a_latent_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 frames was given, but 4 make a latent"):
        engine().create_world("a ball", frames=pictures(3))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("planner.num_steps=6",), "num_steps = 6 cannot be shared evenly by num_blocks_in_flight = 4"),
        (("planner.num_blocks_in_flight=8",), "cannot be shared evenly by num_blocks_in_flight = 8"),
        (("kv.policy.num_visible_blocks=[3,2,1]",), "cannot be cut into 3 equal parts"),
        (("model.height=40",), "height of 40 pixels was asked for, but this model makes multiples of 16"),
        (("model.width=16",), "use 32 or more"),
        (("model.weights=checkpoint",), "no checkpoint is given"),
        (("model.checkpoint=a.safetensors",), "together with random weights"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_built(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("[", r"\[")):
        Engine.load("magi", config=TINY, overrides=(*ONE_THREAD, *overrides))


@pytest.mark.parametrize(("override", "wanted"), [("model.distilled=true", "distilled"), (DISTILLED[0], "three-way")])
def test_a_planner_that_does_not_belong_to_the_weights_is_told_at_the_first_pass(override: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"set planner.guidance = '{wanted}'"):
        engine(override).create_world("a ball").step()


@pytest.mark.parametrize("kind", KINDS)
def test_pages_know_no_prompt_so_that_writing_them_anew_under_another_changes_nothing(kind: str) -> None:
    made = []
    for recache in ("true", "false"):
        world = engine(*KINDS[kind], f"kv.recache={recache}").create_world("a red ball", seed=1)
        frames(world, 3)
        world.send(Signal(prompt="a blue box"))
        made.append(frames(world, 5).int())
    assert int((made[0] - made[1]).abs().max()) <= 1
