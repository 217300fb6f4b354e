"""What the loop tells and offers to models whose entries differ: conditions, blocks left, sizes of steps."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from inferix_core.contracts.model import ChoosingLayerContext, Condition, PassInput
from inferix_core.plan import Op, Prefill, Progress
from inferix_core.runtime.engine import Engine
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyModel, ToyPlanner, ToyStaggeredPlanner
from torch import Tensor


class WatchedModel(ToyModel):
    """A toy that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[PassInput] = []

    def embed(self, pass_input: PassInput) -> object:
        self.given.append(pass_input)
        return super().embed(pass_input)


class ChoosingModel(WatchedModel):
    """A toy whose entries read what `choose` says, of their conditions, instead of all parts."""

    def __init__(self, parts_of_entry: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self._parts_of_entry = parts_of_entry
        self.attended: list[Tensor] = []
        plain = self.layers[0]
        self.layers = [self._layer, plain]

    def _layer(self, state: object, context: ChoosingLayerContext) -> object:
        given = self.given[-1]
        chosen = [
            [[conditions[name] for name in self._parts_of_entry[e]] for e, conditions in enumerate(of_world)]
            for of_world in given.conditions
        ]
        num_tokens = given.latents.shape[1] * self.layout.tokens_per_latent
        q = torch.ones(len(chosen), num_tokens, 2, 4)
        self.attended.append(context.attend_chosen(q, chosen, self._halves))
        k = torch.zeros_like(q)
        context.attend(k, k, k, rotary=None)
        return state

    @staticmethod
    def _halves(tokens: Tensor) -> tuple[Tensor, Tensor]:
        keys = tokens.view(*tokens.shape[:2], 2, 4)
        return keys, keys * 2.0


def second_step(model: ChoosingModel) -> list[Tensor]:
    """What the two entries of a pass attended to, when a world of two blocks in flight begins."""
    with toy_engine(model=model, planner=ToyStaggeredPlanner()).create_world("a red ball", seed=1) as world:
        world.step()
    return list(model.attended[-1][0].chunk(2, dim=0))


def test_each_entry_attends_to_the_conditions_that_are_chosen_for_it() -> None:
    both = [["text", "action"], ["text", "action"]]
    same = second_step(ChoosingModel(both))
    assert torch.equal(*same)
    other = second_step(ChoosingModel([both[0], ["text"]]))
    assert torch.equal(other[0], same[0])
    assert not torch.equal(other[1], same[1])


def test_what_is_chosen_as_names_and_as_conditions_is_the_same() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Both(ChoosingModel):
        def _layer(self, state: object, context: ChoosingLayerContext) -> object:
            q = torch.randn(1, self.given[-1].latents.shape[1] * 8, 2, 4)
            chosen = [[[one["text"], one["action"]] for one in of_world] for of_world in self.given[-1].conditions]
            by_name = context.attend_conditions(q, ("text", "action"), self._halves)
            seen.append((by_name, context.attend_chosen(q, chosen, self._halves)))
            return super()._layer(state, context)

    second_step(Both([["text"], ["text"]]))
    assert seen
    assert all(torch.equal(by_name, chosen) for by_name, chosen in seen)


def test_an_entry_without_any_gets_zeros() -> None:
    with_text, nothing = second_step(ChoosingModel([["text"], []]))
    assert bool(with_text.abs().sum() > 0)
    assert not bool(nothing.any())


def test_a_condition_of_the_models_own_is_projected_once_for_all_worlds() -> None:
    own = Condition(torch.randn(1, 3, 8))
    calls: list[Tensor] = []

    class WithOwn(ChoosingModel):
        def encode(self, signal: Signal, previous: object) -> dict[str, Condition]:
            return {**super().encode(signal, previous), "own": own}

        def _halves(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
            calls.append(tokens)
            return ChoosingModel._halves(tokens)

    model = WithOwn([["own"]])
    engine = toy_engine(model=model)
    for seed in range(2):
        engine.create_world("a red ball", seed=seed).step()
    assert len(calls) == 1


@pytest.mark.parametrize(("horizon", "expected"), [(3, [3, 2]), (None, [None, None])])
def test_models_are_told_how_many_blocks_are_left_from_each_entry_on(
    horizon: int | None, expected: list[int | None]
) -> None:
    model = WatchedModel()
    engine = toy_engine(model=model, planner=ToyStaggeredPlanner())
    engine.create_world("a red ball", num_blocks=horizon).step()
    assert [list(one) for one in model.given[-1].num_blocks_left] == [expected]


class SizedPrefill(ToyPlanner):
    """The toy planner, whose prefix is passed under a size of step."""

    def plan(self, progress: Progress) -> Sequence[Op]:
        return [replace(op, step_size=4.0) if isinstance(op, Prefill) else op for op in super().plan(progress)]


def test_the_pass_over_a_prefix_is_told_its_size_of_step_also_when_it_is_written_anew() -> None:
    model = WatchedModel()
    engine: Engine = toy_engine(model=model, planner=SizedPrefill(), recaches=True)
    prefix = torch.zeros(2, *engine.geometry.latent_shape)
    with engine.create_world("a red ball", prefix=prefix) as world:
        world.step()
        assert [one.step_size for one in model.given] == [4.0]
        world.step(Signal(prompt="a blue box"))
        assert [one.step_size for one in model.given] == [4.0, 4.0, None, None, None]
