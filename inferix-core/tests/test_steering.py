import pytest
import torch
from inferix_core.contracts.model import Conditions
from inferix_core.errors import SignalError
from inferix_core.runtime.engine import Engine
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyDecoder, ToyModel

ORDERS = [
    [Signal(prompt="b"), Signal(action="left")],
    [Signal(action="left"), Signal(prompt="b")],
    [Signal(prompt="c", action="right"), Signal(prompt="b"), Signal(action="left"), Signal(action="left")],
]


class CountingModel(ToyModel):
    """Counts how often a prompt is encoded, which is what costs."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[str] = []

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        if signal.prompt is not None:
            self.prompts.append(signal.prompt)
        return super().encode(signal, previous)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return toy_engine()


@pytest.mark.parametrize("signals", ORDERS)
def test_signals_for_one_block_add_up_and_the_latest_of_a_kind_counts(engine: Engine, signals: list[Signal]) -> None:
    world, expected = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    world.step(), expected.step()
    for signal in signals:
        world.send(signal)
    assert torch.equal(world.step().frames, expected.step(Signal(prompt="b", action="left")).frames)
    assert torch.equal(world.step().frames, expected.step().frames)  # the prompt stays, the action does not


def test_a_refused_signal_takes_nothing_from_those_before_it(engine: Engine) -> None:
    world, expected = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    world.send(Signal(action="left", id="kept"))
    with pytest.raises(SignalError):
        world.send(Signal(action="up", id="refused"))
    block = world.step()
    assert block.signal_ids == ("kept",)
    assert torch.equal(block.frames, expected.step(Signal(action="left")).frames)


def test_a_prompt_is_encoded_once() -> None:
    model = CountingModel()
    world = toy_engine(model=model).create_world("a")
    world.step(Signal(action="left"))
    world.step(Signal(prompt="b"))
    world.step()
    assert model.prompts == ["a", "b"]


def test_a_signal_of_a_step_that_failed_is_not_sent_twice() -> None:
    class FailingOnce(ToyDecoder):
        failed = False

        def decode(self, latents: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
            if not self.failed:
                self.failed = True
                raise KeyboardInterrupt
            return super().decode(latents, state)

    world = toy_engine(decoder=FailingOnce()).create_world("a")
    with pytest.raises(KeyboardInterrupt):
        world.step(Signal(action="left", id="push"))
    assert world.step(Signal(action="left", id="push")).signal_ids == ("push",)
