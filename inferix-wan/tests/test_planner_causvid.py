"""The CausVid planner starts positions again over the last block, and a world of it goes on for ever."""

import pytest
import torch
from inferix_core.plan import Pass, Prefill, Progress, Restart
from inferix_core.runtime.noise import CounterNoise
from inferix_core.testing.suites import PlannerSuite
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyModel
from inferix_wan.config import FewStepSolverConfig
from inferix_wan.planners.causvid import CausVidPlanner
from inferix_wan.planners.config import CausVidPlannerConfig
from inferix_wan.solvers.few_step import FewStepSolver
from pydantic import ValidationError


def planner(**settings: object) -> CausVidPlanner:
    return CausVidPlanner(CausVidPlannerConfig.model_validate(settings))


class TestCausVid(PlannerSuite):
    num_blocks = 16
    unplannable = (Progress(0, num_prefix_latents=2),)

    def planner(self) -> CausVidPlanner:
        return planner()


class TestCausVidWithoutOverlap(TestCausVid):
    def planner(self) -> CausVidPlanner:
        return planner(num_rollout_blocks=2, num_overlap_blocks=0)


def first_position(one: CausVidPlanner, block: int) -> int:
    op = one.plan(Progress(block))[-1]
    assert isinstance(op, Pass)
    return op.entries[0].first_position


def test_a_block_takes_three_denoising_passes_and_a_clean_one() -> None:
    ops = planner().plan(Progress(3))
    assert [op.entries[0].level.time for op in ops if isinstance(op, Pass)] == [1000.0, 757.0, 522.0, 0.0]


def test_every_rollout_after_the_first_keeps_one_block_and_makes_six() -> None:
    one = planner()
    assert [first_position(one, block) for block in range(14)] == [0, 3, 6, 9, 12, 15, 18, 3, 6, 9, 12, 15, 18, 3]
    restarts = {block: op for block in range(20) for op in one.plan(Progress(block)) if isinstance(op, Restart)}
    assert list(restarts) == [7, 13, 19]
    carry = restarts[13].carry
    assert carry is not None
    assert (carry.block, carry.latents, carry.first_position, carry.level.sigma) == (12, range(36, 39), 0, 0.0)


def test_without_overlap_a_rollout_begins_from_nothing() -> None:
    one = planner(num_rollout_blocks=2, num_overlap_blocks=0)
    assert [first_position(one, block) for block in range(5)] == [0, 3, 0, 3, 0]
    assert one.plan(Progress(2))[0] == Restart(None)


def test_a_prefix_is_prefilled_and_counts_into_the_first_rollout() -> None:
    one = planner()
    (op,) = one.plan(Progress(0, num_prefix_latents=3))
    assert isinstance(op, Prefill)
    assert first_position(one, 1) == 3


def test_a_rollout_must_make_new_blocks() -> None:
    with pytest.raises(ValidationError, match="none would be new"):
        CausVidPlannerConfig(num_rollout_blocks=1, num_overlap_blocks=1)


def test_a_rollout_is_what_a_new_world_makes_of_the_block_that_it_keeps() -> None:
    class LaterNoise(CounterNoise):
        def draw(self, latents: range, *, level: int, shape: tuple[int, ...]) -> torch.Tensor:
            return super().draw(range(latents.start + 4, latents.stop + 4), level=level, shape=shape)

    engine = toy_engine(
        planner=planner(num_block_latents=2, num_rollout_blocks=3), solver=FewStepSolver(FewStepSolverConfig())
    )
    world = engine.create_world("a", seed=3)
    for _ in range(3):
        world.step()
    kept = torch.stack([world.state.committed[latent] for latent in (4, 5)])
    anew = engine.create_world("a", prefix=kept, noise=LaterNoise(3))
    anew.step()
    for block in range(2):
        world.step()
        anew.step()
        for latent in (6 + 2 * block, 7 + 2 * block):
            assert torch.equal(world.state.committed[latent], anew.state.committed[latent - 4])


def test_a_world_goes_past_its_rollouts_and_holds_no_more_than_one() -> None:
    class Positions(ToyModel):
        highest = 0

        def embed(self, pass_input):  # type: ignore[no-untyped-def]
            self.highest = max(self.highest, *pass_input.positions[0])
            return super().embed(pass_input)

    model = Positions()
    engine = toy_engine(
        model=model,
        planner=planner(num_block_latents=2, num_rollout_blocks=3),
        solver=FewStepSolver(FewStepSolverConfig()),
    )
    world = engine.create_world("a", seed=3)
    for block in range(8):
        frames = world.step().frames
        assert len(frames) == (5 if block == 0 else 8)
        assert len(world.state.caches["main"].held) <= 6
    assert model.highest == 5
    assert torch.isfinite(frames.float()).all()
