"""The multi-step solvers keep the rules of solvers, solve an equation with a known answer, and know their limits."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.contracts.scheduler import Solver
from inferix_core.errors import ConfigError
from inferix_core.plan import Level
from inferix_core.testing.suites import SolverSuite
from inferix_wan.solvers.config import DpmPlusPlusSolverConfig, Spacing, UniPCSolverConfig
from inferix_wan.solvers.dpm_plus_plus import DpmPlusPlusSolver
from inferix_wan.solvers.sampling import sampling_levels
from inferix_wan.solvers.unipc import UniPCSolver
from pydantic import ValidationError
from torch import Tensor

SPREAD = 0.5  # of the clean data in the equation below
MAKERS: dict[Spacing, Callable[..., Solver]] = {
    "unipc": lambda **given: UniPCSolver(UniPCSolverConfig(**given)),
    "dpm-plus-plus": lambda **given: DpmPlusPlusSolver(DpmPlusPlusSolverConfig(**given)),
}
SPACINGS = list(MAKERS)


class TestUniPC(SolverSuite):
    def solver(self) -> Solver:
        return UniPCSolver(UniPCSolverConfig())

    def levels(self) -> Sequence[Level]:
        return sampling_levels(6, shift=5.0, spacing="unipc")


class TestUniPCFromPureNoise(TestUniPC):
    def solver(self) -> Solver:
        return UniPCSolver(UniPCSolverConfig(order=3, num_steps=6))

    def levels(self) -> Sequence[Level]:
        return sampling_levels(6, shift=5.0, spacing="dpm-plus-plus")


class TestDpmPlusPlus(SolverSuite):
    def solver(self) -> Solver:
        return DpmPlusPlusSolver(DpmPlusPlusSolverConfig())

    def levels(self) -> Sequence[Level]:
        return sampling_levels(6, shift=5.0, spacing="dpm-plus-plus")


class TestDpmPlusPlusOfOrder3InHalfPrecision(TestDpmPlusPlus):
    dtype = torch.bfloat16

    def solver(self) -> Solver:
        return DpmPlusPlusSolver(DpmPlusPlusSolverConfig(order=3, num_steps=6, variant="heun"))


def solve(solver: Solver, levels: Sequence[Level], latents: Tensor, flow: Callable[[Tensor, float], Tensor]) -> Tensor:
    """The latents at the end, where the network would predict `flow(latents, sigma)`."""
    history: Any = None
    for level, target in pairwise(levels):
        prediction = flow(latents, level.sigma)
        latents, history = solver.update(
            latents, prediction, level=level, target=target, noise=lambda: torch.zeros(()), history=history
        )
    return latents


def normal_flow(latents: Tensor, sigma: float) -> Tensor:
    """What a perfect network predicts where clean data are normal with a deviation of `SPREAD`."""
    variance = ((1 - sigma) * SPREAD) ** 2 + sigma**2
    return latents * (sigma - (1 - sigma) * SPREAD**2) / variance


def error_on_normal_data(spacing: Spacing, *, order: int, num_steps: int, solver: Spacing | None = None) -> float:
    levels = sampling_levels(num_steps, shift=3.0, spacing=spacing)
    start = torch.tensor([1.0, -2.0])
    sigma = levels[0].sigma
    exact = start * SPREAD / (((1 - sigma) * SPREAD) ** 2 + sigma**2) ** 0.5
    made = solve(MAKERS[solver or spacing](order=order, num_steps=num_steps), levels, start, normal_flow)
    return float((made - exact).abs().max())


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_higher_order_and_more_steps_come_nearer_to_the_exact_solution(spacing: Spacing) -> None:
    coarse = [error_on_normal_data(spacing, order=order, num_steps=20) for order in (1, 2)]
    fine = [error_on_normal_data(spacing, order=order, num_steps=80) for order in (1, 2)]
    assert coarse[1] < coarse[0]
    assert fine[0] < coarse[0] / 2
    assert fine[1] < coarse[1] / 4


@pytest.mark.parametrize("solver", SPACINGS)
def test_a_solver_comes_as_near_over_the_levels_of_the_other(solver: Spacing) -> None:
    own, other = (error_on_normal_data(one, solver=solver, order=2, num_steps=50) for one in SPACINGS)
    assert own == pytest.approx(other, rel=0.02)


@pytest.mark.parametrize("spacing", SPACINGS)
@given(shift=st.floats(1.0, 12.0), num_steps=st.integers(1, 12), order=st.integers(1, 3))
@settings(deadline=None, max_examples=25)
def test_a_network_that_knows_the_clean_block_is_followed_there(
    spacing: Spacing, shift: float, num_steps: int, order: int
) -> None:
    clean = torch.tensor([0.3, -1.5, 2.0])
    levels = sampling_levels(num_steps, shift=shift, spacing=spacing)
    solver = MAKERS[spacing](order=order, num_steps=num_steps)
    made = solve(solver, levels, torch.tensor([1.0, 0.0, -1.0]), lambda x, sigma: (x - clean) / sigma)
    torch.testing.assert_close(made, clean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_history_is_plain_data(spacing: Spacing) -> None:
    levels = sampling_levels(4, shift=5.0, spacing=spacing)
    latents, history = torch.ones(1, 2, 2, 2), None
    for level, target in pairwise(levels):
        latents, history = MAKERS[spacing]().update(
            latents, latents, level=level, target=target, noise=lambda: torch.zeros(()), history=history
        )
        assert is_plain(history)


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(one) for key, one in value.items())
    return all(map(is_plain, value)) if type(value) is tuple else isinstance(value, Tensor | int | float)


def test_levels_for_unipc_begin_just_below_noise_and_those_for_dpm_plus_plus_at_it() -> None:
    below, at = (sampling_levels(5, shift=5.0, spacing=spacing) for spacing in SPACINGS)
    assert [level.time for level in below] == [999.0, 952.0, 882.0, 768.0, 555.0, 0.0]
    assert 0.999 < below[0].sigma < at[0].sigma == 1.0
    assert below[-1] == at[-1] == Level(5, 0.0, 0.0)


def test_order_3_must_know_how_many_steps_there_are() -> None:
    with pytest.raises(ValidationError, match="set num_steps to the planner's"):
        UniPCSolverConfig(order=3)
    levels = sampling_levels(6, shift=5.0, spacing="unipc")
    with pytest.raises(ConfigError, match="num_steps"):
        solve(UniPCSolver(UniPCSolverConfig(order=3, num_steps=4)), levels, torch.ones(2), normal_flow)
