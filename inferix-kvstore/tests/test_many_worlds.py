"""Many worlds in one pool, in any order of steps, forks, rewinds and closes, against a store that shares nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from inferix_core.errors import CapacityError
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyStore
from inferix_core.testing.toys import ACTIONS, ToyModel
from inferix_kvstore.policies.configuration import SinkWindowConfig
from inferix_kvstore.policies.window import SinkWindowPolicy
from inferix_kvstore.stores.configuration import PagedConfig
from inferix_kvstore.stores.paged import PagedStore

NUM_WORLDS = 64
NUM_REWIND_BLOCKS = 2
POLICY = SinkWindowPolicy(SinkWindowConfig(num_sink_latents=1, num_window_latents=5))


@dataclass(frozen=True)
class Past:
    """All that a world is: the seed it began with, and for each block the action and the seed of its noise."""

    seed: int
    blocks: tuple[tuple[str, int], ...] = ()

    def then(self, action: str) -> Past:
        return replace(self, blocks=(*self.blocks, (action, self.seed)))


def paged_store(*, max_latents: int | None = None) -> PagedStore:
    model = ToyModel()
    return PagedStore(
        PagedConfig(max_latents=max_latents),
        layout=model.layout,
        capacity=POLICY.capacity(2),
        device=torch.device("cpu"),
        dtype=model.dtype,
    )


def engine_over(store: PagedStore | ToyStore, *, num_rewind_blocks: int = 0) -> Engine:
    engine = toy_engine(store=store, policy=POLICY)
    return Engine(engine.parts, engine.decoder, num_rewind_blocks=num_rewind_blocks)


@cache
def alone(past: Past) -> torch.Tensor:
    """The frames of the last block of a world with that past, made by itself on a plain dictionary of pages."""
    world = engine_over(ToyStore()).create_world("a", seed=past.blocks[0][1])
    frames = torch.empty(0)
    for action, seed in past.blocks:
        (child,) = world.fork(seeds=[seed])
        world.close()
        world = child
        frames = world.step(Signal(action=action)).frames
    return frames


class ManyWorlds(RuleBasedStateMachine):
    """Each world carries its past, from which the oracle makes the same world alone."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = engine_over(paged_store(), num_rewind_blocks=NUM_REWIND_BLOCKS)
        self.worlds: list[tuple[World, Past, int]] = []  # the last is the block that the world began its journal at

    @initialize()
    def begin(self) -> None:
        self.worlds = [(self.engine.create_world("a", seed=seed), Past(seed), 0) for seed in range(NUM_WORLDS)]

    @rule(place=st.integers(0, NUM_WORLDS - 1), action=st.sampled_from(ACTIONS))
    def step(self, place: int, action: str) -> None:
        place %= len(self.worlds)
        world, past, begun = self.worlds[place]
        past = past.then(action)
        block = world.step(Signal(action=action))
        assert torch.equal(block.frames, alone(past)), f"a world differs from the same alone: {past}"
        self.worlds[place] = (world, past, begun)

    @rule(place=st.integers(0, NUM_WORLDS - 1), seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3))
    def fork(self, place: int, seeds: list[int]) -> None:
        world, past, _ = self.worlds[place % len(self.worlds)]
        before = self.engine.num_kv_bytes
        children = world.fork(len(seeds), seeds=seeds)
        assert self.engine.num_kv_bytes == before, "a fork takes no pages"
        self.worlds += [
            (child, replace(past, seed=seed), child.num_blocks) for child, seed in zip(children, seeds, strict=True)
        ]

    @rule(place=st.integers(0, NUM_WORLDS - 1), num_back=st.integers(0, NUM_REWIND_BLOCKS))
    def rewind(self, place: int, num_back: int) -> None:
        place %= len(self.worlds)
        world, past, begun = self.worlds[place]
        target = max(begun, world.num_blocks - num_back)
        world.rewind(target)
        self.worlds[place] = (world, replace(past, blocks=past.blocks[:target]), begun)

    @precondition(lambda self: len(self.worlds) > NUM_WORLDS // 2)
    @rule(place=st.integers(0, NUM_WORLDS - 1))
    def close(self, place: int) -> None:
        world, _, _ = self.worlds.pop(place % len(self.worlds))
        world.close()

    @invariant()
    def no_world_holds_more_than_its_policy_allows(self) -> None:
        capacity = POLICY.capacity(2)
        assert capacity is not None
        for world, _, _ in self.worlds:
            for cache_of_world in world.state.caches.values():
                assert len(cache_of_world.held) <= capacity

    def teardown(self) -> None:
        for world, _, _ in self.worlds:
            world.close()
        assert self.engine.num_kv_bytes == 0, "the pool is empty when all worlds are closed"


TestManyWorlds = ManyWorlds.TestCase
TestManyWorlds.settings = settings(max_examples=12, stateful_step_count=40, deadline=None, derandomize=True)


def test_a_world_that_finds_no_room_keeps_its_state_and_goes_on_when_another_is_closed() -> None:
    engine, expected = engine_over(paged_store(max_latents=11)), engine_over(ToyStore())
    first, second = engine.create_world("a", seed=1), engine.create_world("a", seed=2)
    alone_first, alone_second = expected.create_world("a", seed=1), expected.create_world("a", seed=2)
    for _ in range(3):
        assert torch.equal(first.step().frames, alone_first.step().frames)
    for _ in range(2):
        assert torch.equal(second.step().frames, alone_second.step().frames)
    before = engine.num_kv_bytes
    with pytest.raises(CapacityError, match="max_latents"):
        second.step()
    assert (second.num_blocks, engine.num_kv_bytes) == (2, before)
    assert torch.equal(first.step().frames, alone_first.step().frames), "the others go on"
    first.close()
    for _ in range(3):
        assert torch.equal(second.step().frames, alone_second.step().frames)


def test_in_a_batch_that_finds_no_room_nobody_has_moved() -> None:
    engine = engine_over(paged_store(max_latents=7))
    worlds = [engine.create_world("a", seed=seed) for seed in range(2)]
    engine.step(worlds)
    with pytest.raises(CapacityError):
        engine.step(worlds)
    assert [world.num_blocks for world in worlds] == [1, 1]
    worlds[0].close()
    expected = engine_over(ToyStore()).create_world("a", seed=1)
    expected.step()
    assert torch.equal(worlds[1].step().frames, expected.step().frames)
