"""Worlds that go back."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from inferix_core.errors import CapacityError, UnsupportedError
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.log import SignalRecord
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyCache, ToyStore
from inferix_core.testing.toys import ToyStaggeredPlanner


def rewinding(engine: Engine, num_rewind_blocks: int = 3) -> Engine:
    return Engine(replace(engine.parts), engine.decoder, num_rewind_blocks=num_rewind_blocks)


def plain() -> Engine:
    return rewinding(toy_engine())


def staggered() -> Engine:
    return rewinding(toy_engine(planner=ToyStaggeredPlanner()))


def with_toy_store() -> Engine:
    return rewinding(toy_engine(store=ToyStore()))


@pytest.fixture(params=[plain, staggered, with_toy_store], ids=["plain", "staggered", "shared pages"])
def engine(request: pytest.FixtureRequest) -> Engine:
    make: Callable[[], Engine] = request.param
    return make()


def frames(world: World, num_blocks: int) -> torch.Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


def test_going_on_after_rewinding_is_as_never_having_gone_on(engine: Engine) -> None:
    world, alone = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    assert torch.equal(frames(world, 4), frames(alone, 4))
    world.step(Signal(prompt="b", action="left"))
    world.step()
    world.rewind(4)
    assert world.num_blocks == 4
    assert torch.equal(frames(world, 3), frames(alone, 3))
    assert world.log.records == alone.log.records


def test_a_signal_that_was_sent_after_the_boundary_is_forgotten(engine: Engine) -> None:
    world, alone = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    frames(world, 2), frames(alone, 2)
    world.send(Signal(prompt="b"))
    world.step()
    world.rewind(2)
    assert torch.equal(frames(world, 2), frames(alone, 2))
    assert "b" not in [one.signal.prompt for one in world.log.records if isinstance(one, SignalRecord)]


def test_a_world_goes_back_to_its_beginning_with_its_prompt(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    first = frames(world, 3)
    world.rewind(0)
    assert torch.equal(frames(world, 3), first)


def test_a_world_can_be_rewound_again_and_again(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    start = frames(world, 2)
    rest = frames(world, 3)
    for boundary in (4, 3, 2, 2):
        world.rewind(boundary)
        assert world.num_blocks == boundary
    assert torch.equal(frames(world, 3), rest)
    assert len(start)


def test_rewinding_to_where_the_world_is_forgets_only_what_waits(engine: Engine) -> None:
    world, alone = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    frames(world, 2), frames(alone, 2)
    world.send(Signal(prompt="b"))
    world.rewind(2)
    assert torch.equal(frames(world, 2), frames(alone, 2))


def test_a_child_goes_back_to_where_it_parted_and_no_further(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    frames(world, 3)
    (child,) = world.fork()
    rest = frames(child, 2)
    child.rewind(3)
    assert torch.equal(frames(child, 2), rest)
    with pytest.raises(UnsupportedError, match="goes back to block 3"):
        child.rewind(2)


def test_beyond_the_journal_the_error_says_how_far_it_goes(engine: Engine) -> None:
    world, alone = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    frames(world, 5), frames(alone, 5)
    with pytest.raises(UnsupportedError, match=r"goes back to block 2.*num_rewind_blocks is 3"):
        world.rewind(1)
    with pytest.raises(UnsupportedError, match=r"has 5 finished blocks.*Rewind to 5 or fewer"):
        world.rewind(6)
    assert torch.equal(frames(world, 1), frames(alone, 1))


def test_without_a_journal_the_error_says_what_to_set() -> None:
    world = toy_engine().create_world("a")
    world.step()
    with pytest.raises(UnsupportedError, match=r"keeps no journal. Set world.num_rewind_blocks"):
        world.rewind(0)


def test_frames_that_a_run_left_over_are_given_up() -> None:
    world = plain().create_world("a", seed=1)
    list(world.run(num_frames=7))
    world.rewind(1)
    fresh = plain().create_world("a", seed=1)
    fresh.step()
    assert torch.equal(world.step().frames, fresh.step().frames)


def test_the_journal_keeps_no_more_than_it_must() -> None:
    engine = with_toy_store()
    world = engine.create_world("a")
    world.step()
    per_block = engine.num_kv_bytes
    frames(world, 5)
    assert engine.num_kv_bytes == 6 * per_block, "boundaries share the pages that the world still holds"
    world.rewind(4)
    assert engine.num_kv_bytes == 4 * per_block
    world.close()
    assert engine.num_kv_bytes == 0


class ForksRarely(ToyCache):
    allowed = True

    def fork(self) -> ToyCache:
        if not self.allowed:
            raise CapacityError("No room for a boundary.")
        return super().fork()


class StoreThatForksRarely(ToyStore):
    cache_type = ForksRarely


def test_a_boundary_without_room_undoes_the_step() -> None:
    world = rewinding(toy_engine(store=StoreThatForksRarely())).create_world("a", seed=1)
    expected = frames(world, 3)
    world.rewind(1)
    ForksRarely.allowed = False
    with pytest.raises(CapacityError):
        world.step()
    ForksRarely.allowed = True
    assert world.num_blocks == 1
    assert torch.equal(frames(world, 2), expected[5:])
