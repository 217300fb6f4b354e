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


BROKEN: dict[str, type[ToySolver]] = {
    "test_latents_predictions_and_histories_stay_as_they_are": SpoilsThePrediction,
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


@pytest.mark.parametrize("name", rules_of(SolverSuite))
def test_the_solver_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(SolverSuite):
        def solver(self) -> ToySolver:
            return BROKEN[name]()

    assert broken_rules(Cases(), tmp_path) == [name]
