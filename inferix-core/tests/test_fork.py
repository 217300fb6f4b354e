"""Worlds that part from another one."""

from collections.abc import Callable

import pytest
import torch
from inferix_core.errors import CapacityError, ConfigError, UnsupportedError
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyCache, ToyStore
from inferix_core.testing.toys import ToyStaggeredPlanner


def staggered() -> Engine:
    return toy_engine(planner=ToyStaggeredPlanner())


def with_toy_store() -> Engine:
    return toy_engine(store=ToyStore())


@pytest.fixture(params=[toy_engine, staggered, with_toy_store], ids=["plain", "staggered", "shared pages"])
def engine(request: pytest.FixtureRequest) -> Engine:
    make: Callable[[], Engine] = request.param
    return make()


def frames(world: World, num_blocks: int, *signals: Signal) -> torch.Tensor:
    told = [*signals, *[None] * (num_blocks - len(signals))]
    return torch.cat([world.step(signal).frames for signal in told])


def test_a_child_goes_on_as_its_parent_would_have(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    frames(world, 3)
    (child,) = world.fork()
    after_fork = frames(child, 3)
    assert torch.equal(frames(world, 3), after_fork)


def test_what_one_of_them_is_told_reaches_no_other(engine: Engine) -> None:
    alone = engine.create_world("a", seed=1)
    plain = frames(alone, 6)
    world = engine.create_world("a", seed=1)
    start = frames(world, 3)
    told, untold = world.fork(2)
    assert not torch.equal(frames(told, 3, Signal(prompt="b")), plain[len(start) :])
    assert torch.equal(frames(untold, 3), plain[len(start) :])
    assert torch.equal(frames(world, 3), plain[len(start) :])


def test_a_child_is_what_a_world_is_that_ran_the_same_signals_alone(engine: Engine) -> None:
    alone = engine.create_world("a", seed=1)
    expected = frames(alone, 6, Signal(action="left"), Signal(), Signal(), Signal(prompt="b"), Signal(action="right"))
    world = engine.create_world("a", seed=1)
    start = frames(world, 3, Signal(action="left"))
    frames_of_child = frames(world.fork(3)[1], 3, Signal(prompt="b"), Signal(action="right"))
    assert torch.equal(torch.cat([start, frames_of_child]), expected)


def test_children_of_other_seeds_part_and_the_same_seed_changes_nothing(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    frames(world, 2)
    same, other = world.fork(2, seeds=[1, 2])
    going_on = frames(world, 3)
    assert torch.equal(frames(same, 3), going_on)
    assert not torch.equal(frames(other, 3), going_on)


def test_a_signal_that_waits_at_the_fork_reaches_parent_and_child(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    frames(world, 2)
    world.send(Signal(prompt="b", id="waiting"))
    (child,) = world.fork()
    blocks = [child.step() for _ in range(2)]
    assert ("waiting",) in [block.signal_ids for block in blocks]
    assert torch.equal(torch.cat([block.frames for block in blocks]), frames(world, 2))


def test_a_world_can_be_forked_before_its_first_block(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    (child,) = world.fork()
    assert torch.equal(frames(child, 2), frames(world, 2))


def test_a_child_outlives_its_parent(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    frames(world, 3)
    child, sibling = world.fork(2)
    expected = frames(sibling, 2)
    world.close()
    sibling.close()
    assert torch.equal(frames(child, 2), expected)


def test_worlds_of_one_family_can_be_stepped_together(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    frames(world, 2)
    children = world.fork(3)
    for block in engine.step([world, *children], [None, None, Signal(prompt="b"), None]):
        assert block.index == 2
    assert torch.equal(frames(world, 2), frames(children[0], 2))


def test_children_have_names_of_their_own(engine: Engine) -> None:
    world = engine.create_world("a")
    assert len({world.id, *(child.id for child in world.fork(3))}) == 4


def test_shared_pages_are_counted_once() -> None:
    engine = with_toy_store()
    world = engine.create_world("a")
    frames(world, 3)
    before = engine.num_kv_bytes
    children = world.fork(8)
    assert engine.num_kv_bytes == before
    per_block = before // 3
    for child in children:
        child.step()
    assert engine.num_kv_bytes == before + 8 * per_block


@pytest.mark.parametrize(("num_children", "seeds", "said"), [(0, None, "at least 1"), (2, [1], "with 1 seeds")])
def test_a_fork_that_makes_no_sense_is_refused(num_children: int, seeds: list[int] | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        toy_engine().create_world("a").fork(num_children, seeds=seeds)


def test_a_seed_out_of_range_leaves_no_children() -> None:
    engine = with_toy_store()
    world = engine.create_world("a")
    frames(world, 2)
    with pytest.raises(ConfigError, match="Seeds go from"):
        world.fork(2, seeds=[1, -1])
    before = engine.num_kv_bytes
    world.close()
    assert before > engine.num_kv_bytes == 0


class CannotFork(ToyCache):
    def fork(self) -> ToyCache:
        raise UnsupportedError("The store 'rigid' cannot fork.")


class ForksOnce(ToyCache):
    num_forks = 0

    def fork(self) -> ToyCache:
        type(self).num_forks += 1
        if self.num_forks > 1:
            raise CapacityError("No room for another copy.")
        return super().fork()


class RigidStore(ToyStore):
    cache_type = CannotFork


class StoreThatForksOnce(ToyStore):
    cache_type = ForksOnce


def test_a_store_that_cannot_fork_says_so_and_the_world_goes_on() -> None:
    world = toy_engine(store=RigidStore()).create_world("a")
    frames(world, 1)
    with pytest.raises(UnsupportedError, match="cannot fork"):
        world.fork()
    frames(world, 1)


def test_a_fork_without_room_for_all_children_makes_none() -> None:
    engine = toy_engine(store=StoreThatForksOnce())
    world = engine.create_world("a")
    frames(world, 1)
    before = engine.num_kv_bytes
    with pytest.raises(CapacityError):
        world.fork(2)
    assert engine.num_kv_bytes == before
    frames(world, 1)


def test_a_dense_fork_is_a_copy_and_counted_as_one() -> None:
    engine = toy_engine()
    world = engine.create_world("a")
    frames(world, 2)
    before = engine.num_kv_bytes
    (child,) = world.fork()
    assert child.num_kv_bytes == before
    assert engine.num_kv_bytes == 2 * before
