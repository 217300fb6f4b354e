"""The rules of the `magi-ranges` policy."""

import pytest
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import ConfigError
from inferix_core.plan import Entry, Level, Pass, Prefill, Progress
from inferix_core.testing.toys import ToyPlanner
from inferix_magi.config import MagiPlannerConfig, MagiRangesConfig
from inferix_magi.planner import MagiPlanner
from inferix_magi.ranges import MagiRanges

EIGHT_STEPS = MagiPlanner(MagiPlannerConfig(num_steps=8))


def policy(planner: Planner = EIGHT_STEPS, **settings: object) -> MagiRanges:
    return MagiRanges(MagiRangesConfig.model_validate(settings), planner=planner)


def entry(block: int, *, level: int) -> Entry:
    latents = range(block * 6, block * 6 + 6)
    return Entry(block, latents, latents.start, Level(level, 0.5, 0.5))


@pytest.mark.parametrize(("level", "num_blocks"), [(0, 5), (1, 5), (2, 4), (5, 3), (7, 2), (8, 1)])
def test_noisier_blocks_see_further_back(level: int, num_blocks: int) -> None:
    visible = policy().visible(entry(9, level=level), range(60))
    assert list(visible) == list(range(60 - 6 * num_blocks, 60))


def test_without_ranges_a_block_sees_everything() -> None:
    unbounded = policy(num_visible_blocks=(), num_visible_blocks_clean=None)
    assert list(unbounded.visible(entry(9, level=0), range(60))) == list(range(60))
    assert unbounded.capacity(24) is None


def test_a_clean_block_without_a_range_of_its_own_sees_as_much_as_at_the_last_part() -> None:
    visible = policy(num_visible_blocks_clean=None).visible(entry(9, level=8), range(60))
    assert list(visible) == list(range(48, 60))


@pytest.mark.parametrize("window", [1, 2, 4, 8])
@pytest.mark.parametrize("parts", [(5, 4, 3, 2), (2, 3, 4, 7), (1,), (9, 1)])
def test_nothing_that_a_block_in_flight_still_sees_is_dropped_and_the_capacity_is_never_exceeded(
    window: int, parts: tuple[int, ...]
) -> None:
    planner = MagiPlanner(MagiPlannerConfig(num_steps=8, num_blocks_in_flight=window))
    ranges = policy(planner, num_visible_blocks=parts)
    capacity = ranges.capacity(planner.num_block_latents)
    assert capacity is not None
    held: set[int] = set()
    reserved: set[int] = set()
    fullest = 0
    for block in range(16):
        for op in planner.plan(Progress(block, horizon=16)):
            if not isinstance(op, Pass) or not op.entries[0].reads_cache:
                continue
            for one in op.entries:
                if one.latents.start not in held | reserved:
                    held = set(ranges.retained(sorted(held), one.latents))
                    reserved.update(one.latents)
                fullest = max(fullest, len(held | reserved))
            for one in op.entries:
                ever = range(one.latents.stop)
                assert set(ranges.visible(one, ever)) <= held | reserved
                if one.block in op.commits:
                    held.update(one.latents)
                    reserved.difference_update(one.latents)
    assert fullest <= capacity


def test_a_prefilled_block_sees_itself_alone() -> None:
    prefill = MagiPlanner(MagiPlannerConfig(num_steps=8)).plan(Progress(1, num_prefix_latents=12))[0]
    assert isinstance(prefill, Prefill)
    assert list(policy().visible(prefill.entry, range(12))) == list(range(6, 12))


def test_parts_that_do_not_divide_the_steps_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 equal parts"):
        policy(num_visible_blocks=(3, 2, 1))


def test_the_steps_are_the_planners() -> None:
    planner = MagiPlanner(MagiPlannerConfig(num_steps=16, num_block_latents=2))
    latents = range(18, 20)
    entry = Entry(9, latents, latents.start, Level(8, 0.5, 0.5))
    assert list(policy(planner).visible(entry, range(20))) == list(range(14, 20))


def test_another_planner_is_told() -> None:
    with pytest.raises(ConfigError, match="follows the steps of the planner 'magi'"):
        policy(ToyPlanner(num_block_latents=2))
