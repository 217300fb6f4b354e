"""Every rule of the solver suite is broken by one solver that keeps all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.plan import Level
from inferix_core.testing.suites import SolverSuite, broken_rules, rules_of
from inferix_core.testing.toys import ToySolver
from torch import Tensor

Result = tuple[Tensor, Any]


class SpoilsThePrediction(ToySolver):
    def update(self, latents: Tensor, prediction: Tensor, **rest: Any) -> Result:
        result = super().update(latents, prediction, **rest)
        prediction.zero_()
        return result


class Widens(ToySolver):
    def update(self, latents: Tensor, prediction: Tensor, **rest: Any) -> Result:
        moved, history = super().update(latents, prediction, **rest)
        return moved.double(), history


class Diverges(ToySolver):
    def update(self, latents: Tensor, prediction: Tensor, **rest: Any) -> Result:
        moved, history = super().update(latents, prediction, **rest)
        moved[0, 0, 0, 0] = float("inf")
        return moved, history


class StirsTheGlobalGenerator(ToySolver):
    def update(self, latents: Tensor, prediction: Tensor, **rest: Any) -> Result:
        torch.rand(1)
        return super().update(latents, prediction, **rest)


class NeverQuiteClean(ToySolver):
    def update(self, latents: Tensor, prediction: Tensor, **rest: Any) -> Result:
        moved, history = super().update(latents, prediction, **rest)
        return moved + 0.01 * rest["noise"](), history


class IgnoresOneLevel(ToySolver):
    def update(self, latents: Tensor, prediction: Tensor, *, level: Level, **rest: Any) -> Result:
        told = torch.zeros_like(prediction) if level.index == 1 else prediction
        return super().update(latents, told, level=level, **rest)


class RemembersItself(ToySolver):
    last: Tensor | None = None

    def update(self, latents: Tensor, prediction: Tensor, *, level: Level, **rest: Any) -> Result:
        moved, history = super().update(latents, prediction, level=level, **rest)
        if level.index > 0 and self.last is not None:
            moved = moved + 0.1 * self.last
        self.last = moved.clone()
        return moved, history


class KeepsASet(ToySolver):
    def update(self, latents: Tensor, prediction: Tensor, *, history: set[int] | None, **rest: Any) -> Result:
        moved, _ = super().update(latents, prediction, history=None, **rest)
        return moved, {*(history or ()), rest["level"].index}


class KnowsItsHistories(ToySolver):
    """Hands out histories by which it finds again what it really carries on."""

    known: tuple[tuple[list[int], Tensor], ...] = ()

    def update(self, latents: Tensor, prediction: Tensor, *, history: list[int] | None, **rest: Any) -> Result:
        carried = next((carried for handed_out, carried in self.known if handed_out is history), 0.0)
        moved, _ = super().update(latents + 0.1 * carried, prediction, history=None, **rest)
        self.known = (*self.known, ([0], prediction.clone()))
        return moved, self.known[-1][0]


BROKEN: dict[str, type[ToySolver]] = {
    "test_latents_predictions_and_histories_stay_as_they_are": SpoilsThePrediction,
    "test_a_history_that_was_saved_gives_the_same_latents": KeepsASet,
    "test_the_result_has_the_shape_and_dtype_of_the_latents": Widens,
    "test_results_are_finite_all_the_way": Diverges,
    "test_randomness_comes_from_the_noise_that_is_handed_in_alone": StirsTheGlobalGenerator,
    "test_a_clean_target_has_no_noise_in_it": NeverQuiteClean,
    "test_the_prediction_matters_at_every_level": IgnoresOneLevel,
    "test_blocks_that_take_turns_are_as_each_alone": RemembersItself,
}


class TestToySolver(SolverSuite):
    def solver(self) -> ToySolver:
        return ToySolver()


def broken(solver: type[ToySolver], folder: Path) -> list[str]:
    class Cases(SolverSuite):
        def solver(self) -> ToySolver:
            return solver()

    return broken_rules(Cases(), folder)


@pytest.mark.parametrize("name", rules_of(SolverSuite))
def test_the_solver_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    assert broken(BROKEN[name], tmp_path) == [name]


def test_a_history_that_only_its_solver_can_read_is_found_out(tmp_path: Path) -> None:
    assert broken(KnowsItsHistories, tmp_path) == ["test_a_history_that_was_saved_gives_the_same_latents"]
