import pytest
import torch
from inferix_core.errors import CapacityError, ConfigError, SignalError
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine, toy_store
from inferix_core.testing.toys import ToyModel

PREFIX = torch.linspace(-1.0, 1.0, 32).view(2, 2, 2, 4)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return toy_engine()


def close(got: torch.Tensor, wanted: torch.Tensor) -> bool:
    return int((got.int() - wanted.int()).abs().max()) <= 1


def test_a_world_with_a_prefix_and_one_without_are_what_each_is_alone(engine: Engine) -> None:
    def worlds() -> list[World]:
        return [engine.create_world("a", seed=1, prefix=PREFIX), engine.create_world("b", seed=2)]

    together = worlds()
    made = [engine.step(together) for _ in range(3)]  # plans of two shapes in the first step, of one after it
    for index, world in enumerate(worlds()):
        for blocks in made:
            assert close(blocks[index].frames, world.step().frames)


def test_each_world_of_a_batch_reflects_its_own_signal(engine: Engine) -> None:
    worlds = [engine.create_world("a", seed=1) for _ in range(2)]
    blocks = engine.step(worlds, [Signal(action="left", id="mine"), None])
    assert [block.signal_ids for block in blocks] == [("mine",), ()]
    assert not torch.equal(blocks[0].frames, blocks[1].frames)


def test_a_batch_in_which_one_world_fails_leaves_all_as_they_were() -> None:
    full = toy_engine(store=toy_store(ToyModel(), max_latents=4))
    young, old = full.create_world("a", seed=1, prefix=PREFIX), full.create_world("b", seed=2)
    old.step(), old.step()  # the store is full; the plans differ in shape, so the young world goes first
    with pytest.raises(CapacityError):
        full.step([young, old])
    assert (young.num_blocks, old.num_blocks) == (0, 2)
    alone = full.create_world("a", seed=1, prefix=PREFIX)
    for _ in range(2):
        assert torch.equal(young.step().frames, alone.step().frames)


def test_a_batch_with_one_bad_signal_sends_none(engine: Engine) -> None:
    worlds = [engine.create_world("a", seed=1) for _ in range(2)]
    with pytest.raises(SignalError):
        engine.step(worlds, [Signal(action="left", id="good"), Signal(action="up")])
    assert [block.signal_ids for block in engine.step(worlds)] == [(), ()]


def test_a_world_given_twice_is_refused(engine: Engine) -> None:
    world = engine.create_world("a")
    with pytest.raises(ConfigError, match=f"{world.id} was given more than once"):
        engine.step([world, world])
    assert world.step().index == 0


def test_a_world_of_another_engine_is_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="by the engine alone that created it"):
        engine.step([toy_engine().create_world("a")])


def test_a_signal_too_few_is_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="2 worlds were given with 1 signals"):
        engine.step([engine.create_world("a"), engine.create_world("a")], [Signal(action="left")])
