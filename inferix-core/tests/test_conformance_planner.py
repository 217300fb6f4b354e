"""Every rule of the planner suite is broken by one planner that keeps all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from inferix_core.errors import PlanError
from inferix_core.plan import Emit, Entry, Level, Op, Pass, Prefill, Progress, Update
from inferix_core.testing.suites import PlannerSuite, broken_rules, rules_of
from inferix_core.testing.toys import ToyPlanner


class Careful(ToyPlanner):
    def plan(self, progress: Progress) -> Sequence[Op]:
        if progress.num_finished < 0:
            raise PlanError(f"A world has finished {progress.num_finished} blocks; give 0 or more.")
        return super().plan(progress)


class Counts(Careful):
    num_plans = 0

    def plan(self, progress: Progress) -> Sequence[Op]:
        self.num_plans += 1
        ops = super().plan(progress)
        return [*ops, Emit(progress.num_finished, frames=slice(self.num_plans))] if ops else ()


class NeverFinishes(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        return [replace(op, finishes=()) if isinstance(op, Pass) else op for op in super().plan(progress)]


class CommitsAgain(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        ops, block = super().plan(progress), progress.num_finished
        if not ops or block == 0 or isinstance(ops[0], Prefill):
            return ops
        before = Entry(block - 1, range(2 * block - 2, 2 * block), 2 * block - 2, self.levels[-1])
        return [Pass((before,), commits=(block - 1,)), *ops]


class UpdatesFromNothing(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        ops = list(super().plan(progress))
        if len(ops) > 1 and isinstance(ops[1], Pass):
            ops[1] = replace(ops[1], entries=tuple(replace(entry, weight=0.0) for entry in ops[1].entries))
        return ops


class CleanTwice(Careful):
    def __init__(self) -> None:
        super().__init__()
        self._planned = self.levels
        self.levels = (*self._planned, Level(3, 0.0, 0.0))  # type: ignore[assignment]

    def plan(self, progress: Progress) -> Sequence[Op]:
        return ToyPlanner().plan(progress) if progress.num_finished >= 0 else super().plan(progress)


class LeavesAGap(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        noise, _, clean = self.levels
        ops = list(super().plan(progress))
        if len(ops) > 1 and isinstance(ops[1], Pass):
            ops[1] = replace(ops[1], updates=(Update(progress.num_finished, noise, clean),))
        return ops


class Endless(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        return super().plan(replace(progress, horizon=None))


class SkipsALatent(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        def shifted(entry: Entry) -> Entry:
            return replace(entry, latents=range(entry.latents.start + 1, entry.latents.stop + 1))

        ops = super().plan(progress)
        if progress.num_finished < 4:
            return ops
        return [replace(op, entries=tuple(map(shifted, op.entries))) for op in ops if isinstance(op, Pass)]


class PromisesTooLittle(Careful):
    def __init__(self) -> None:
        super().__init__()
        self.num_block_latents = 1

    def plan(self, progress: Progress) -> Sequence[Op]:
        return Careful().plan(progress)


class WritersLast(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        ops = list(super().plan(progress))
        if len(ops) > 1 and isinstance(ops[0], Pass):
            (entry,) = ops[0].entries
            alone = replace(entry, reads_cache=False, sees=(entry.block,), weight=0.5)
            ops[0] = replace(ops[0], entries=(alone, replace(entry, weight=0.5)))
        return ops


class CutsPrefixes(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        whole = progress.num_prefix_latents - progress.num_prefix_latents % 2
        return super().plan(replace(progress, num_prefix_latents=whole))


class StopsSilently(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        return super().plan(progress) if progress.num_finished < 6 else ()


class ForgetsItsAnchor(Careful):
    def plan(self, progress: Progress) -> Sequence[Op]:
        ops, block = super().plan(progress), progress.num_finished
        return [*ops, Emit(block, anchor=-1)] if ops and block == 3 else ops


BROKEN: dict[str, type[ToyPlanner]] = {
    "test_the_same_progress_gives_the_same_plan": Counts,
    "test_every_plan_finishes_exactly_the_next_block": NeverFinishes,
    "test_every_block_is_committed_at_most_once": CommitsAgain,
    "test_every_update_is_preceded_by_a_prediction": UpdatesFromNothing,
    "test_the_schedule_descends_from_noise_to_clean": CleanTwice,
    "test_a_block_moves_from_noise_to_clean_without_a_gap": LeavesAGap,
    "test_nothing_is_planned_beyond_the_horizon": Endless,
    "test_latents_of_blocks_follow_one_another": SkipsALatent,
    "test_no_more_latents_wait_for_their_pages_than_declared": PromisesTooLittle,
    "test_entries_that_write_the_cache_come_first_and_ascend": WritersLast,
    "test_a_prefix_is_used_wholly_or_refused": CutsPrefixes,
    "test_more_blocks_than_a_world_can_have_are_refused_at_its_beginning": StopsSilently,
    "test_an_anchor_is_what_the_next_block_starts_from": ForgetsItsAnchor,
    "test_what_cannot_be_planned_is_a_plan_error": ToyPlanner,
}


class TestToyPlanner(PlannerSuite):
    unplannable = (Progress(0, num_prefix_latents=1),)

    def planner(self) -> ToyPlanner:
        return ToyPlanner()


@pytest.mark.parametrize("name", rules_of(PlannerSuite))
def test_the_planner_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(PlannerSuite):
        unplannable = (Progress(-1),)

        def planner(self) -> ToyPlanner:
            return BROKEN[name]()

    assert broken_rules(Cases(), tmp_path) == [name]
