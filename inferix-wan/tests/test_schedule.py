"""The flow-match table and the few-step update keep the precisions of the original."""

import pytest
import torch
from inferix_core.plan import Level
from inferix_wan.config import FewStepSolverConfig
from inferix_wan.solvers.few_step import FewStepSolver
from inferix_wan.solvers.schedule import FlowMatchSchedule


def test_the_nearest_entry_is_taken_and_the_first_on_a_tie() -> None:
    schedule = FlowMatchSchedule(shift=1.0)
    assert schedule.nearest(999.5) == 0
    assert schedule.nearest(999.4) == 1
    assert schedule.sigma(0.0) == pytest.approx(0.001)


def test_the_entry_after_the_last_is_the_end() -> None:
    schedule = FlowMatchSchedule(shift=5.0)
    assert schedule.next_sigma(0.0) == 0.0
    assert FlowMatchSchedule(shift=5.0, invert_times=True).next_sigma(1000.0) == 1.0


def test_the_last_update_is_the_clean_estimate_made_in_float64() -> None:
    latents, flow = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16().split(1)
    level, target = Level(3, 625.0, 0.625), Level(4, 0.0, 0.0)

    def no_noise() -> torch.Tensor:
        raise AssertionError("the clean block takes no noise")

    solver = FewStepSolver(FewStepSolverConfig())
    clean, history = solver.update(latents, flow, level=level, target=target, noise=no_noise, history=None)
    assert history is None
    assert torch.equal(clean, (latents.double() - 0.625 * flow.double()).bfloat16())


def test_noise_is_mixed_in_with_a_float32_share_and_rounded_once() -> None:
    generator = torch.Generator().manual_seed(1)
    latents, flow, noise = torch.randn(3, 3, 8, 8, generator=generator).bfloat16().split(1)
    level, target = Level(1, 937.5, 0.9375), Level(2, 833.3333129882812, 0.8333333134651184)
    moved, _ = FewStepSolver(FewStepSolverConfig()).update(
        latents, flow, level=level, target=target, noise=lambda: noise, history=None
    )
    clean = (latents.double() - level.sigma * flow.double()).bfloat16()
    share = torch.tensor([target.sigma])
    assert moved.dtype == torch.bfloat16
    assert torch.equal(moved, ((1 - share) * clean.float() + share * noise.float()).bfloat16())
