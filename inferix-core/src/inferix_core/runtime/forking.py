"""Worlds that go on from where another one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inferix_core.errors import ConfigError
from inferix_core.runtime.log import SeedRecord
from inferix_core.runtime.noise import CounterNoise, checked_seed

if TYPE_CHECKING:
    from inferix_core.runtime.world import World


def fork_world(world: World, num_children: int, *, seeds: Sequence[int] | None) -> list[World]:
    """See `World.fork`."""
    if num_children < 1:
        raise ConfigError(f"A world is forked into at least 1 child; {num_children} were asked for.")
    if seeds is not None and len(seeds) != num_children:
        raise ConfigError(f"{num_children} children were asked for with {len(seeds)} seeds. Give one for each.")
    for seed in seeds or ():
        checked_seed(seed)
    told = {"world": world.id, "num_children": num_children, "seeds": None if seeds is None else list(seeds)}
    children: list[World] = []
    try:
        with world.engine.together("fork", **told):
            children.extend(_child(world, None if seeds is None else seeds[place]) for place in range(num_children))
    except BaseException:
        for child in children:
            child.close()
        raise
    return children


def _child(world: World, seed: int | None) -> World:
    noise = None if seed is None else CounterNoise(checked_seed(seed))
    state = replace(world.state.fork(), id=world.engine.next_id())
    if noise is not None:
        state.noise = noise
        state.log.add(SeedRecord(state.num_finished, noise.seed))
    try:
        return world.engine.world_of(state)
    except BaseException:
        state.close()
        raise
