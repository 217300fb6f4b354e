"""Pages that are written anew when the prompt changes."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from inferix_core.errors import CapacityError
from inferix_core.plan import Entry
from inferix_core.replay import recording_of, verify
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyStore
from inferix_core.testing.toys import ToyPlanner, ToyStaggeredPlanner
from torch import Tensor

PLANNERS = [ToyPlanner(), ToyStaggeredPlanner()]


class Window:
    """The last latents and the first one: a block may be held in part."""

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        return [latent for latent in held if latent >= upcoming.stop - 7 or latent == 0]

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        return available

    def capacity(self, num_block_latents: int) -> int | None:
        return 14


def engine(**changes: Any) -> Engine:
    return toy_engine(recaches=True, **changes)


def frames(world: World, num_blocks: int, *signals: Signal) -> Tensor:
    told = [*signals, *[None] * (num_blocks - len(signals))]
    return torch.cat([world.step(signal).frames for signal in told])


def pages(world: World) -> dict[tuple[int, int], Tensor]:
    """Keys of every held latent and layer."""
    (cache,) = world.state.caches.values()
    return {
        (latent, layer): cache.segments(layer, [range(latent, latent + 1)])[0]["k"].clone()
        for latent in cache.held
        for layer in range(2)
    }


@pytest.mark.parametrize("planner", PLANNERS, ids=["plain", "staggered"])
def test_a_new_prompt_changes_what_the_world_remembers_and_what_it_shows(planner: ToyPlanner) -> None:
    worlds = [made.create_world("a", seed=1) for made in (engine(planner=planner), toy_engine(planner=planner))]
    for world in worlds:
        frames(world, 4)
    before = pages(worlds[0])
    shown = [frames(world, 3, Signal(prompt="b")) for world in worlds]
    after = pages(worlds[0])
    assert not torch.equal(shown[0], shown[1])
    assert all(not torch.equal(after[place], before[place]) for place in before if place[1] == 1)


def test_without_a_new_prompt_nothing_is_written_anew() -> None:
    signals = (Signal(), Signal(action="left"), Signal(), Signal(action="right"))
    recaching, plain = engine().create_world("a", seed=1), toy_engine().create_world("a", seed=1)
    assert torch.equal(frames(recaching, 6, *signals), frames(plain, 6, *signals))


def test_the_same_prompt_again_writes_the_same_pages() -> None:
    world = engine().create_world("a", seed=1)
    plain = engine().create_world("a", seed=1)
    assert torch.equal(frames(world, 3), frames(plain, 3))
    before = pages(world)
    frames(world, 1, Signal(prompt="a"))
    after = pages(world)
    assert all(torch.allclose(after[place], before[place], atol=1e-5) for place in before)


@pytest.mark.parametrize("policy", [None, Window()], ids=["full", "window"])
def test_the_old_prompt_leaves_no_trace(policy: Window | None) -> None:
    changes = {} if policy is None else {"policy": policy}
    made = engine(**changes)
    one, other = made.create_world("a", seed=1), made.create_world("c", seed=1)
    frames(one, 5), frames(other, 5)
    other.state.committed = dict(one.state.committed)
    other.state.decoder_state = one.state.decoder_state
    assert torch.equal(frames(one, 3, Signal(prompt="b")), frames(other, 3, Signal(prompt="b")))


def test_an_action_of_the_same_signal_is_not_written_into_the_past() -> None:
    worlds = [engine().create_world("a", seed=1) for _ in range(2)]
    for world, action in zip(worlds, (None, "left"), strict=True):
        frames(world, 3)
        world.step(Signal(prompt="b", action=action))
    one, other = (pages(world) for world in worlds)
    assert all(torch.equal(one[place], other[place]) for place in one if place[0] < 6)
    assert any(not torch.equal(one[place], other[place]) for place in one if place[0] >= 6)


def test_a_step_that_fails_afterwards_has_rewritten_nothing() -> None:
    made = engine(store=ToyStore(max_latents=8))
    world = made.create_world("a", seed=1)
    frames(world, 4)
    before, num_bytes = pages(world), made.num_kv_bytes
    with pytest.raises(CapacityError):
        world.step(Signal(prompt="b"))
    after = pages(world)
    assert made.num_kv_bytes == num_bytes
    assert before.keys() == after.keys()
    assert all(torch.equal(after[place], before[place]) for place in before)


def test_the_old_pages_give_their_room_back() -> None:
    made = engine(store=ToyStore())
    world = made.create_world("a", seed=1)
    frames(world, 4)
    per_block = made.num_kv_bytes // 4
    world.step(Signal(prompt="b"))
    assert made.num_kv_bytes == 5 * per_block


@pytest.mark.parametrize("planner", PLANNERS, ids=["plain", "staggered"])
def test_forks_and_rewinds_part_before_and_after_alike(planner: ToyPlanner) -> None:
    made = engine(planner=planner, store=ToyStore())
    made = Engine(made.parts, made.decoder, num_rewind_blocks=3)
    world = made.create_world("a", seed=1)
    frames(world, 4)
    (child,) = world.fork()
    expected = frames(world, 3, Signal(prompt="b"))
    assert torch.equal(frames(child, 3, Signal(prompt="b")), expected)
    world.rewind(4)
    assert torch.equal(frames(world, 3, Signal(prompt="b")), expected)


def test_worlds_that_are_stepped_together_are_told_apart() -> None:
    made = engine()
    alone = made.create_world("a", seed=1)
    frames(alone, 3)
    expected = alone.step(Signal(prompt="b")).frames.float()
    worlds = [made.create_world("a", seed=seed) for seed in (1, 2)]
    for _ in range(3):
        made.step(worlds)
    found = made.step(worlds, [Signal(prompt="b"), None])[0].frames.float()
    assert float((found - expected).abs().max()) <= 1.0


@pytest.mark.parametrize("planner", PLANNERS, ids=["plain", "staggered"])
def test_a_replay_writes_the_past_anew_where_the_world_did(planner: ToyPlanner) -> None:
    made = engine(planner=planner)
    world = made.create_world("a", seed=1)
    frames(world, 7, Signal(), Signal(), Signal(prompt="b"), Signal(action="left"), Signal(prompt="c"))
    assert verify(made, recording_of(world)).is_verified
    assert not verify(toy_engine(planner=planner), recording_of(world)).is_verified
