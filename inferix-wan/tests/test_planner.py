"""The Self Forcing planner lays out passes, prefixes and horizons, and keeps no state."""

import pytest
from inferix_core.errors import PlanError
from inferix_core.plan import Pass, Prefill, Progress
from inferix_wan.config import SelfForcingPlannerConfig
from inferix_wan.planners.self_forcing import SelfForcingPlanner
from pydantic import ValidationError


def planner(**settings: object) -> SelfForcingPlanner:
    return SelfForcingPlanner(SelfForcingPlannerConfig.model_validate(settings))


def passes(plan: object) -> list[Pass]:
    return [op for op in plan if isinstance(op, Pass)]  # type: ignore[attr-defined]


def test_a_block_takes_one_pass_for_each_step_and_a_clean_one_that_commits_and_finishes_it() -> None:
    *denoising, clean = passes(planner().plan(Progress(num_finished=2)))
    assert [one.entries[0].level.time for one in denoising] == [1000.0, 937.5, pytest.approx(833.3333), 625.0]
    assert [one.updates[0].target.sigma for one in denoising] == [0.9375, pytest.approx(0.8333333), 0.625, 0.0]
    assert all(one.predicts and not one.commits for one in denoising)
    assert (clean.commits, clean.finishes, clean.updates, clean.predicts) == ((2,), (2,), (), False)
    assert {entry.latents for one in (*denoising, clean) for entry in one.entries} == {range(6, 9)}
    assert clean.entries[0].level.time == 0.0


def test_the_same_progress_gives_the_same_plan_whatever_was_planned_before() -> None:
    one = planner()
    first = one.plan(Progress(num_finished=1))
    one.plan(Progress(num_finished=7))
    assert one.plan(Progress(num_finished=1)) == first == planner().plan(Progress(num_finished=1))


def test_a_prefix_is_prefilled_at_time_0_whatever_the_clean_time_is() -> None:
    (op,) = planner(clean_time=20.0).plan(Progress(num_finished=1, num_prefix_latents=6))
    assert isinstance(op, Prefill)
    assert (op.entry.latents, op.entry.first_position, op.entry.level.time) == (range(3, 6), 3, 0.0)


def test_after_the_prefix_blocks_are_generated_behind_it() -> None:
    plan = planner().plan(Progress(num_finished=2, num_prefix_latents=6))
    assert {one.entries[0].latents for one in passes(plan)} == {range(6, 9)}


def test_an_independent_first_latent_is_a_block_of_its_own() -> None:
    one = planner(independent_first_latent=True)
    assert [one.latents(block) for block in range(3)] == [range(1), range(1, 4), range(4, 7)]
    (op,) = one.plan(Progress(num_prefix_latents=4))
    assert isinstance(op, Prefill)
    assert op.entry.latents == range(1)


@pytest.mark.parametrize(
    ("independent", "num_latents", "accepted"), [(False, 4, "3 or 6"), (False, 2, "give 3"), (True, 3, "1 or 4")]
)
def test_a_prefix_that_ends_inside_a_block_is_refused_with_the_lengths_that_fit(
    independent: bool, num_latents: int, accepted: str
) -> None:
    one = planner(independent_first_latent=independent)
    with pytest.raises(PlanError, match=accepted):
        one.plan(Progress(num_finished=num_latents // 3, num_prefix_latents=num_latents))


def test_nothing_is_planned_beyond_the_horizon() -> None:
    assert planner().plan(Progress(num_finished=2, horizon=3))
    assert planner().plan(Progress(num_finished=3, horizon=3)) == ()


def test_steps_without_warp_are_times_with_the_share_of_noise_of_the_nearest_entry() -> None:
    levels = planner(steps=(1000, 757, 522), warp=False, shift=8.0).levels
    assert [level.time for level in levels] == [1000.0, 757.0, 522.0, 0.0]
    assert [round(level.sigma, 5) for level in levels] == [1.0, 0.75676, 0.52174, 0.0]


@pytest.mark.parametrize("steps", [(), (500, 1000), (1200, 500)])
def test_steps_that_do_not_descend_from_at_most_1000_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        planner(steps=steps)
