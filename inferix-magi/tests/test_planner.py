"""What the `magi` planner plans."""

from collections.abc import Sequence

import pytest
from inferix_core.errors import PlanError
from inferix_core.plan import Emit, Op, Pass, Prefill, Progress
from inferix_magi.config import MagiPlannerConfig
from inferix_magi.planner import MagiPlanner
from pydantic import ValidationError


def planner(**settings: object) -> MagiPlanner:
    return MagiPlanner(MagiPlannerConfig.model_validate({"num_steps": 8, **settings}))


def passes(ops: Sequence[Op]) -> list[Pass]:
    return [op for op in ops if isinstance(op, Pass)]


def steps(ops: Sequence[Op]) -> list[list[Pass]]:
    """The passes of each step: the last pass of a step is the one that updates."""
    made: list[list[Pass]] = [[]]
    for one in passes(ops):
        made[-1].append(one)
        if one.updates:
            made.append([])
    return made[:-1]


def finished(ops: Sequence[Op]) -> list[int]:
    return [block for one in passes(ops) for block in one.finishes]


def test_the_first_plan_ramps_up_and_each_plan_finishes_one_block() -> None:
    ops = planner().plan(Progress())
    assert finished(ops) == [0]
    assert [len(step[-1].updates) for step in steps(ops)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [finished(planner().plan(Progress(block))) for block in range(1, 5)] == [[1], [2], [3], [4]]


def test_a_live_world_never_ramps_down() -> None:
    assert len(passes(planner().plan(Progress(1000)))[-1].updates) == 4


def test_a_world_with_a_horizon_ramps_down_and_ends() -> None:
    plans = [planner().plan(Progress(block, horizon=5)) for block in range(6)]
    assert [len(passes(ops)[-1].updates) for ops in plans[:5]] == [4, 4, 3, 2, 1]
    assert plans[5] == ()


def test_a_finished_block_is_committed_in_the_first_step_of_the_next_stage_and_the_last_one_never() -> None:
    plans = [planner().plan(Progress(block, horizon=5)) for block in range(5)]
    commits = [[step[-1].commits for step in steps(ops)] for ops in plans]
    assert commits[1:] == [[(0,), ()], [(1,), ()], [(2,), ()], [(3,), ()]]
    assert not any(any(one.commits) for one in passes(plans[0]))


def test_a_committed_block_is_passed_just_short_of_clean_and_predicts_nothing() -> None:
    first = steps(planner().plan(Progress(1)))[0][-1].entries[0]
    assert (first.block, first.level.time, first.weight, first.branch) == (0, 0.9998999834060669, 0.0, "null")


def test_base_models_are_guided_three_ways_by_the_time_of_each_block() -> None:
    text, alone, history = steps(planner().plan(Progress(0)))[-1]
    assert [entry.weight for entry in text.entries] == [0.0, 7.5, 7.5, 7.5]
    assert [(entry.block, entry.weight) for entry in alone.entries] == [(1, -0.5), (2, -0.5), (3, -0.5)]
    assert [entry.weight for entry in history.entries] == [1.0, -6.0, -6.0, -6.0]
    assert [entry.branch for entry in (text.entries[0], history.entries[0])] == ["signal", "null"]


def test_the_weights_of_a_block_add_up_to_one() -> None:
    for step in steps(planner().plan(Progress(0, horizon=9))):
        for update in step[-1].updates:
            weights = [entry.weight for one in step for entry in one.entries if entry.block == update.block]
            assert sum(weights) == pytest.approx(1.0)


def test_a_block_alone_has_positions_of_its_own_and_no_history() -> None:
    alone = steps(planner().plan(Progress(0)))[-1][1]
    assert {(entry.first_position, entry.reads_cache) for entry in alone.entries} == {(0, False)}
    assert [entry.sees for entry in alone.entries] == [(1,), (2,), (3,)]


def test_passes_without_weight_are_left_out() -> None:
    last = planner().plan(Progress(4, horizon=5))
    assert [[entry.weight for entry in one.entries] for one in passes(last)] == [[0.0, 1.0], [1.0]]


def test_only_the_last_pass_of_a_step_commits_and_updates() -> None:
    for step in steps(planner().plan(Progress(1))):
        assert all(not one.commits and not one.updates for one in step[:-1])


def test_distilled_models_take_one_pass_and_see_the_oldest_block_twice_when_it_is_nearly_clean() -> None:
    first, last = steps(planner(guidance="distilled").plan(Progress(0)))[::7]
    assert [len(first), len(last)] == [1, 1]
    assert first[0].step_size == last[0].step_size == 4.0
    assert [(entry.block, entry.weight) for entry in first[0].entries] == [(0, 1.0)]
    oldest, twin = last[0].entries[0], last[0].entries[-1]
    assert (oldest.block, oldest.weight, oldest.reads_cache) == (0, 0.7, True)
    assert (twin.block, twin.weight, twin.reads_cache) == (0, pytest.approx(0.3), False)
    assert (twin.latents, twin.first_position, twin.sees) == (range(6), 24, (0,))


def test_twelve_steps_are_told_apart_by_their_size() -> None:
    ops = planner(num_steps=12, guidance="distilled").plan(Progress(0))
    assert [one.step_size for one in passes(ops)] == [4.0, 8.0, 8.0] * 4


def test_whole_blocks_of_a_prefix_are_prefilled_and_not_shown() -> None:
    plans = [planner().plan(Progress(block, num_prefix_latents=12)) for block in range(3)]
    for block, ops in enumerate(plans[:2]):
        prefill, emit = ops
        assert isinstance(prefill, Prefill)
        assert (prefill.entry.block, prefill.entry.latents) == (block, range(block * 6, block * 6 + 6))
        assert isinstance(emit, Emit)
        assert emit.latents is not None
        assert len(emit.latents) == 0
    assert finished(plans[2]) == [2]
    assert passes(plans[2])[0].entries[0].block == 2


def test_the_rest_of_a_prefix_is_pinned_and_left_out_of_what_is_shown() -> None:
    ops = planner().plan(Progress(1, num_prefix_latents=8))
    pinned = {(entry.block, entry.num_pinned_latents) for one in passes(ops) for entry in one.entries}
    assert pinned == {(1, 2), (2, 0), (3, 0), (4, 0)}
    assert ops[-1] == Emit(1, latents=range(8, 12))


def test_a_block_with_pins_is_pinned_when_it_is_committed_too() -> None:
    clean = steps(planner().plan(Progress(2, num_prefix_latents=8)))[0][-1].entries[0]
    assert (clean.block, clean.num_pinned_latents) == (1, 2)


def test_a_single_image_is_shown() -> None:
    ops = planner().plan(Progress(0, num_prefix_latents=1))
    assert passes(ops)[0].entries[0].num_pinned_latents == 1
    assert ops[-1] == Emit(0)


def test_the_same_progress_gives_the_same_plan() -> None:
    one = planner()
    before = one.plan(Progress(1))
    one.plan(Progress(0))
    assert one.plan(Progress(1)) == before


def test_a_prefix_beyond_the_horizon_is_refused() -> None:
    with pytest.raises(PlanError, match=r"prefix of 13 latents.*after 2 blocks.*raise num_blocks"):
        planner().plan(Progress(0, num_prefix_latents=13, horizon=2))


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="cannot be shared evenly"):
        planner(num_steps=10)
    with pytest.raises(ValidationError, match="same number of values"):
        planner(text_scales=(7.5,))
    with pytest.raises(ValidationError, match="ascend from 0"):
        planner(guidance_times=(0.1, 0.2, 0.3, 0.4, 0.5))
