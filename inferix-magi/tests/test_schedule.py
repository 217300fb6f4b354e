"""Time tables, stages and counts of the schedule."""

import pytest
from inferix_magi.schedule import num_blocks_for, stage, stages, step_intervals, step_size, time_table


def test_the_quarter_points_are_float32_values() -> None:
    assert time_table(4) == (0.0, 0.021739130839705467, 0.10000000894069672, 0.30000001192092896, 1.0000001192092896)


def test_the_time_that_should_be_0_3_is_above_it() -> None:
    assert time_table(64)[48] > 0.3


@pytest.mark.parametrize(
    ("shortcut", "second"), [("8,16,16", 0.005263158120214939), ("16,16,8", 0.0013054830487817526)]
)
def test_twelve_steps_are_taken_from_sixteenths(shortcut: str, second: float) -> None:
    times = time_table(12, shortcut=shortcut)  # type: ignore[arg-type]
    assert len(times) == 13
    assert times[1] == second
    assert times[3::3] == time_table(4)[1:]


def test_four_blocks_ramp_up_and_down() -> None:
    made = [(one.first_block, one.end_block, one.first_place, one.end_place) for one in stages(4, window=4)]
    assert made == [(0, 1, 0, 1), (0, 2, 0, 2), (0, 3, 0, 3), (0, 4, 0, 4), (1, 4, 1, 4), (2, 4, 2, 4), (3, 4, 3, 4)]


def test_a_world_without_end_is_like_the_middle_of_a_long_one() -> None:
    assert stage(50, window=4, num_blocks=None) == stage(50, window=4, num_blocks=1000)


def test_older_blocks_are_further_on() -> None:
    full = stage(3, window=4, num_blocks=None)
    assert [full.level_index(block, 1, num_stage_steps=16) for block in range(4)] == [49, 33, 17, 1]


def test_prefix_latents_come_on_top_of_the_frames() -> None:
    assert num_blocks_for(96, num_prefix_latents=0) == 4
    assert num_blocks_for(96, num_prefix_latents=1) == 5
    assert num_blocks_for(50, num_prefix_latents=0) == 2


def test_distilled_networks_are_told_the_step_size() -> None:
    assert [step_size(12, interval=interval) for interval in step_intervals(12)[:3]] == [4.0, 8.0, 8.0]
    assert step_size(16, interval=1.0) == 8.0
    assert step_size(64, interval=1.0) == 32.0
