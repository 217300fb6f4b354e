"""The rules of planners: what the loop relies on when it executes a plan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import PlanError
from inferix_core.plan import Emit, Entry, Level, Op, Pass, Prefill, Progress, Restart
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.simulation import passes_of


class PlannerSuite(Suite):
    """Supply `planner`; `unplannable` are progresses that it must refuse, besides what every planner refuses."""

    num_blocks = 6
    max_blocks: int | None = None
    """The most blocks that a world of this planner has, and `num_blocks` then: 1 for clips. None for any number."""
    unplannable: Sequence[Progress] = ()

    def planner(self) -> Planner:
        """A new planner, always of the same configuration."""
        raise NotImplementedError("Supply `planner`: return the planner that is to be tested.")

    @rule
    def test_the_same_progress_gives_the_same_plan(self) -> None:
        planner = self.planner()
        first = [list(planner.plan(progress)) for progress in self._world()]
        again = [list(planner.plan(progress)) for progress in reversed(self._world())]
        assert again[::-1] == first
        assert [list(self.planner().plan(progress)) for progress in self._world()] == first

    @rule
    def test_every_plan_finishes_exactly_the_next_block(self) -> None:
        for horizon in (self.num_blocks, None):
            try:
                plans = self._plans(horizon=horizon)
            except PlanError:
                if horizon is not None:
                    raise
                continue  # a planner may need a horizon
            for block, ops in enumerate(plans):
                finished = [index for op in ops if not isinstance(op, Restart) for index in finishes(op)]
                assert finished == [block], f"the plan of block {block} finishes {finished}"

    @rule
    def test_every_block_is_committed_at_most_once(self) -> None:
        committed: set[tuple[str, int]] = set()
        for ops in self._plans():
            for op in ops:
                if isinstance(op, Restart):  # every page goes, so what is carried over is committed again
                    committed = {pair for pair in committed if pair[0] != op.cache}
                for one in passes_of((op,)):
                    pages = [(one.cache, block) for block in one.commits]
                    assert not committed.intersection(pages), f"{one.commits} have pages in '{one.cache}' already"
                    assert len(set(pages)) == len(pages)
                    committed.update(pages)

    @rule
    def test_every_update_is_preceded_by_a_prediction(self) -> None:
        predicted: set[int] = set()
        for one in self._passes():
            predicted |= {entry.block for entry in one.entries if entry.weight != 0.0}
            for update in one.updates:
                assert update.block in predicted, (
                    f"nothing was predicted for block {update.block} since its last update"
                )
                predicted.discard(update.block)
            if one.is_clean_only:
                predicted -= {entry.block for entry in one.entries}

    @rule
    def test_the_schedule_descends_from_noise_to_clean(self) -> None:
        levels = self.planner().levels
        assert [level.index for level in levels] == list(range(len(levels)))
        assert all(after.sigma < before.sigma for before, after in pairwise(levels))
        assert levels[-1].sigma == 0.0, "a finished block is clean"

    @rule
    def test_a_block_moves_from_noise_to_clean_without_a_gap(self) -> None:
        first = self.planner().levels[0]
        at: dict[int, Level] = {}
        for one in self._passes():
            for update in one.updates:
                level = at.get(update.block, first)
                assert update.level == level, f"block {update.block} is at {level}, not at {update.level}"
                assert update.target.sigma < update.level.sigma
                at[update.block] = update.target
            for block in one.finishes:
                assert at[block].sigma == 0.0, f"block {block} is finished at {at[block]}"

    @rule
    def test_nothing_is_planned_beyond_the_horizon(self) -> None:
        for horizon in sorted({1, min(2, self.num_blocks), self.num_blocks}):
            for ops in self._plans(horizon=horizon):
                blocks = {entry.block for one in passes_of(ops) for entry in one.entries}
                assert max(blocks) < horizon, f"blocks {sorted(blocks)} are passed in a world of {horizon}"
            assert not list(self.planner().plan(Progress(horizon, horizon=horizon)))

    @rule
    def test_more_blocks_than_a_world_can_have_are_refused_at_its_beginning(self) -> None:
        horizon = self.num_blocks + 1
        if self.max_blocks is None:
            assert self.planner().plan(Progress(self.num_blocks, horizon=horizon)), "set max_blocks, if there is one"
            return
        assert self.num_blocks == self.max_blocks
        for progress in (Progress(0, horizon=horizon), Progress(self.num_blocks, horizon=horizon)):
            with pytest.raises(PlanError):
                self.planner().plan(progress)

    @rule
    def test_latents_of_blocks_follow_one_another(self) -> None:
        spans: dict[int, range] = {}
        for one in self._passes():
            for entry in one.entries:
                assert spans.setdefault(entry.block, entry.latents) == entry.latents
        ordered = [spans[block] for block in sorted(spans)]
        assert ordered[0].start == 0
        assert all(before.stop == after.start for before, after in pairwise(ordered))

    @rule
    def test_no_more_latents_wait_for_their_pages_than_declared(self) -> None:
        planner = self.planner()
        waiting: dict[int, int] = {}
        committed: set[int] = set()
        for one in self._passes():
            waiting |= {entry.block: len(entry.latents) for entry in one.entries if entry.block not in committed}
            assert sum(waiting.values()) <= planner.num_block_latents
            committed.update(one.commits)
            waiting = {block: count for block, count in waiting.items() if block not in committed}

    @rule
    def test_entries_that_write_the_cache_come_first_and_ascend(self) -> None:
        for one in self._passes():
            writing = [entry.reads_cache for entry in one.entries]
            assert writing == sorted(writing, reverse=True)
            blocks = [entry.block for entry in one.entries if entry.reads_cache]
            assert blocks == sorted(set(blocks))

    @rule
    def test_a_prefix_is_used_wholly_or_refused(self) -> None:
        num_latents = max(len(entry.latents) for one in self._passes() for entry in one.entries)
        for num_prefix_latents in range(1, 2 * num_latents + 1):
            try:
                used = self._latents_used_of(num_prefix_latents)
            except PlanError:
                continue
            unused = set(range(num_prefix_latents)) - used
            assert not unused, (
                f"of a prefix of {num_prefix_latents} latents, {sorted(unused)} are neither kept nor refused"
            )

    @rule
    def test_an_anchor_is_what_the_next_block_starts_from(self) -> None:
        for block, (before, after) in enumerate(pairwise(self._plans())):
            is_anchored = any(isinstance(op, Emit) and op.anchor is not None for op in before)
            restarts = [op for op in after if isinstance(op, Restart) and op.from_anchor]
            behind = [op.behind for op in after if isinstance(op, Emit) and op.behind is not None]
            assert is_anchored == bool(restarts), f"block {block} and the one behind it do not agree on an anchor"
            carried = [op.carry.latents for op in restarts if op.carry is not None]
            assert not is_anchored or (behind and behind[0] in carried), (
                f"block {block} ends the decoder's history, and block {block + 1} does not start it anew"
            )

    @rule
    def test_what_cannot_be_planned_is_a_plan_error(self) -> None:
        for progress in self.unplannable:
            with pytest.raises(PlanError):
                self.planner().plan(progress)

    def _world(self, *, horizon: int | None = None) -> list[Progress]:
        return [Progress(block, horizon=horizon or self.num_blocks) for block in range(self.num_blocks)]

    def _plans(self, *, horizon: int | None = -1) -> list[Sequence[Op]]:
        end = self.num_blocks if horizon == -1 else horizon
        count = self.num_blocks if end is None else end
        planner = self.planner()
        plans = [planner.plan(Progress(block, horizon=end)) for block in range(count)]
        assert all(len(plan) > 0 for plan in plans), "a plan before the horizon is empty"
        return plans

    def _passes(self) -> list[Pass]:
        return [one for ops in self._plans() for one in passes_of(ops)]

    def _latents_used_of(self, num_prefix_latents: int) -> set[int]:
        """The latents of a prefix that are prefilled or pinned while the first blocks are made."""
        planner, used, horizon = self.planner(), set[int](), num_prefix_latents + 2
        for block in range(num_prefix_latents + 1):
            for op in planner.plan(Progress(block, num_prefix_latents, horizon)):
                if isinstance(op, Prefill):
                    used |= set(op.entry.latents)
                for entry in entries_of(op):
                    used |= set(entry.latents[: entry.num_pinned_latents])
        return used


def finishes(op: Op) -> Sequence[int]:
    """The blocks that an op finishes."""
    return [block for one in passes_of((op,)) for block in one.finishes]


def entries_of(op: Op) -> Sequence[Entry]:
    """The entries of an op."""
    return [entry for one in passes_of((op,)) for entry in one.entries]
