"""The rules of solvers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from inferix_core.contracts.scheduler import Solver
from inferix_core.plan import Level
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged
from inferix_core.worldfile.trees import copy_through_tree

SHAPE = (3, 2, 4, 4)


class SolverSuite(Suite):
    """Supply `solver` and the `levels` of the planner that it is used with."""

    dtype = torch.float32

    def solver(self) -> Solver:
        """A new solver."""
        raise NotImplementedError("Supply `solver`: return the solver that is to be tested.")

    def levels(self) -> Sequence[Level]:
        """The schedule from noise to clean."""
        return (Level(0, 1000.0, 1.0), Level(1, 700.0, 0.7), Level(2, 300.0, 0.3), Level(3, 0.0, 0.0))

    @rule
    def test_latents_predictions_and_histories_stay_as_they_are(self) -> None:
        solver, latents, history = self.solver(), self._random(0), None
        for level, target in pairwise(self.levels()):
            prediction = self._random(10 + level.index)
            given = [latents, prediction, history]
            copies = copies_of(given)
            latents, history = self._update(solver, latents, prediction, level, target, history)
            assert is_unchanged(given, copies), f"the update to level {target.index} wrote into what it was given"

    @rule
    def test_a_history_that_was_saved_gives_the_same_latents(self) -> None:
        expected = self._trajectory(self.solver(), seed=0)
        found = self._trajectory(self.solver(), seed=0, carried_on=copy_through_tree)
        assert all(map(torch.equal, found, expected)), (
            "a block carries on what its history holds as plain data, no more"
        )

    @rule
    def test_the_result_has_the_shape_and_dtype_of_the_latents(self) -> None:
        for latents in self._trajectory(self.solver(), seed=0):
            assert (latents.shape, latents.dtype) == (SHAPE, self.dtype)

    @rule
    def test_results_are_finite_all_the_way(self) -> None:
        assert all(bool(latents.isfinite().all()) for latents in self._trajectory(self.solver(), seed=0))

    @rule
    def test_randomness_comes_from_the_noise_that_is_handed_in_alone(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            before = torch.get_rng_state()
            one = self._trajectory(self.solver(), seed=0)
            assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
            torch.manual_seed(2)
            other = self._trajectory(self.solver(), seed=0)
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))

    @rule
    def test_a_clean_target_has_no_noise_in_it(self) -> None:
        level, clean = self.levels()[-2:]
        noises = [lambda: self._random(20), lambda: self._random(21)]
        results = [
            self._update(self.solver(), self._random(0), self._random(1), level, clean, None, noise=noise)
            for noise in noises
        ]
        assert torch.equal(results[0][0], results[1][0])

    @rule
    def test_the_prediction_matters_at_every_level(self) -> None:
        for level, target in pairwise(self.levels()):
            results = [
                self._update(self.solver(), self._random(0), self._random(s), level, target, None) for s in (1, 2)
            ]
            assert not torch.equal(results[0][0], results[1][0]), f"from level {level.index} the prediction is ignored"

    @rule
    def test_blocks_that_take_turns_are_as_each_alone(self) -> None:
        alone = [self._trajectory(self.solver(), seed=seed) for seed in (0, 100)]
        solver = self.solver()
        states: list[tuple[Tensor, Any]] = [(self._random(0), None), (self._random(100), None)]
        for step, (level, target) in enumerate(pairwise(self.levels())):
            for place, seed in enumerate((0, 100)):
                latents, history = states[place]
                prediction = self._random(seed + 10 + level.index)
                states[place] = self._update(solver, latents, prediction, level, target, history)
                assert torch.equal(states[place][0], alone[place][step]), "what a block carries on is its history alone"

    def _trajectory(
        self, solver: Solver, *, seed: int, carried_on: Callable[[Any], Any] = lambda history: history
    ) -> list[Tensor]:
        """A block's latents at every level after the first; `carried_on` gives what the next update is told."""
        latents, history, made = self._random(seed), None, []
        for level, target in pairwise(self.levels()):
            prediction = self._random(seed + 10 + level.index)
            latents, new_history = self._update(solver, latents, prediction, level, target, history)
            history = carried_on(new_history)
            made.append(latents.clone())
        return made

    def _update(
        self,
        solver: Solver,
        latents: Tensor,
        prediction: Tensor,
        level: Level,
        target: Level,
        history: Any,
        *,
        noise: Callable[[], Tensor] | None = None,
    ) -> tuple[Tensor, Any]:
        keyed = noise or (lambda: self._random(1000 + target.index))
        return solver.update(latents, prediction, level=level, target=target, noise=keyed, history=history)

    def _random(self, seed: int) -> Tensor:
        return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(self.dtype)
