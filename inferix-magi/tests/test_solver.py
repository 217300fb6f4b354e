"""The `velocity` solver and the guidance scales."""

import torch
from inferix_core.plan import Level
from inferix_magi.config import VelocityConfig
from inferix_magi.guidance import GuidanceScales
from inferix_magi.schedule import float32, time_table
from inferix_magi.solver import VelocitySolver

SHIPPED = GuidanceScales((0.0, 0.0217, 0.1, 0.3, 0.999), (1.5, 1.5, 1.5, 1.0, 1.0), (7.5, 7.5, 7.5, 0.0, 0.0))


def move(latents: torch.Tensor, velocity: torch.Tensor, *, before: float, after: float) -> torch.Tensor:
    def no_noise() -> torch.Tensor:
        raise AssertionError("a velocity solver draws no noise")

    moved, history = VelocitySolver(VelocityConfig()).update(
        latents, velocity, level=Level(0, before, 1.0), target=Level(1, after, 0.5), noise=no_noise, history=None
    )
    assert history is None
    return moved


def test_latents_move_along_the_velocity_by_the_float32_difference_of_times() -> None:
    x, v = torch.tensor([1.0]), torch.tensor([3.0])
    times = time_table(64)
    expected = x + v * (torch.tensor(times[40]) - torch.tensor(times[39]))
    assert torch.equal(move(x, v, before=times[39], after=times[40]), expected)


def test_half_precision_latents_are_moved_in_float32() -> None:
    x, v = torch.full((4,), 1.0, dtype=torch.bfloat16), torch.full((4,), 1.0, dtype=torch.bfloat16)
    moved = move(x, v, before=0.0, after=float32(0.0049))
    assert moved.dtype == torch.bfloat16
    assert torch.equal(moved, torch.full((4,), 1.0049).to(torch.bfloat16))


def test_a_time_of_the_schedule_that_equals_a_threshold_is_past_it() -> None:
    assert SHIPPED.scales(time_table(4)[3]) == (1.0, 0.0)
    assert SHIPPED.scales(float32(0.2999998)) == (1.5, 7.5)
    assert SHIPPED.scales(0.0) == (1.5, 7.5)
