"""Worlds whose policy chooses by content: what a block sees is settled when it begins, forks and rewinds included."""

from __future__ import annotations

import pytest
import torch
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ACTIONS, ToyModel, ToyStaggeredPlanner
from inferix_kvstore.policies.configuration import SelectiveConfig
from inferix_kvstore.policies.selective import SelectivePolicy
from inferix_kvstore.stores.configuration import PagedConfig
from inferix_kvstore.stores.paged import PagedStore

SEEDS = range(16)


@pytest.fixture
def engine() -> Engine:
    """Blocks are in flight when a world is forked, and one latent is chosen among many."""
    model = ToyModel()
    store = PagedStore(PagedConfig(), layout=model.layout, capacity=None, device=torch.device("cpu"), dtype=model.dtype)
    made = toy_engine(
        model=model,
        store=store,
        planner=ToyStaggeredPlanner(),
        policy=SelectivePolicy(SelectiveConfig(num_recent_latents=6, num_selected_latents=1)),
        needs_relevance=True,
    )
    return Engine(made.parts, made.decoder, num_rewind_blocks=3)


def old_world(engine: Engine, seed: int) -> World:
    world = engine.create_world("a", seed=seed)
    for block in range(7):
        world.step(Signal(action=ACTIONS[block % len(ACTIONS)]))
    return world


def frames(world: World, num_blocks: int = 4) -> torch.Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


def test_children_see_what_their_parent_sees(engine: Engine) -> None:
    for seed in SEEDS:
        with old_world(engine, seed) as world:
            (child,) = world.fork()
            assert torch.equal(frames(child), frames(world)), f"seed {seed}"
            child.close()


def test_a_rewound_world_sees_what_it_saw(engine: Engine) -> None:
    for seed in SEEDS:
        with old_world(engine, seed) as world:
            once = frames(world, 3)
            world.rewind(7)
            assert torch.equal(frames(world, 3), once), f"seed {seed}"
    assert engine.num_kv_bytes == 0
