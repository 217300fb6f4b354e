"""Every rule of the profiler suite is broken by one profiler that keeps all others."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from inferix_core.events import Block, BlockRun
from inferix_core.hookspecs import hookimpl
from inferix_core.testing.suites import ProfilerSuite, broken_rules, rules_of


class Counter:
    """Counts blocks, and those that failed."""

    def __init__(self) -> None:
        self.num_blocks = 0
        self.num_failures = 0
        self.is_closed = False

    @hookimpl(wrapper=True)
    def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
        try:
            return (yield)
        except BaseException:
            self.num_failures += 1
            raise
        finally:
            self.count()

    def count(self) -> None:
        self.num_blocks += 1

    def summary(self) -> Mapping[str, Any]:
        return {"blocks": self.num_blocks}

    def close(self) -> None:
        self.is_closed = True


class PaintsOver(Counter):
    @hookimpl
    def inferix_frames(self, block: Block) -> None:
        block.frames.zero_()


class StartsWithAnObject(Counter):
    def summary(self) -> Mapping[str, Any]:
        return {"blocks": self.num_blocks or self}


class EndsWithASet(Counter):
    def summary(self) -> Mapping[str, Any]:
        return {"blocks": {self.num_blocks} if self.num_blocks else 0}


class WaitsForTrouble(Counter):
    def count(self) -> None:
        self.num_blocks += self.num_failures > 0


class Translates(Counter):
    @hookimpl(wrapper=True)
    def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
        try:
            return (yield)
        except ArithmeticError as error:
            raise RuntimeError("profiled") from error
        finally:
            self.count()


class StopsAtTrouble(Counter):
    def count(self) -> None:
        self.num_blocks += self.num_failures == 0


class ClosesOnce(Counter):
    def close(self) -> None:
        assert not self.is_closed
        super().close()


class Averages(Counter):
    def close(self) -> None:
        self.mean = self.num_failures / self.num_blocks


BROKEN: dict[str, type[Counter]] = {
    "test_a_run_has_the_same_frames_with_and_without_it": PaintsOver,
    "test_the_summary_is_plain_data_before_a_run": StartsWithAnObject,
    "test_the_summary_is_plain_data_after_a_run": EndsWithASet,
    "test_a_run_changes_what_was_measured": WaitsForTrouble,
    "test_a_failure_goes_through_unchanged": Translates,
    "test_measuring_goes_on_after_a_failure": StopsAtTrouble,
    "test_closing_twice_is_closing_once": ClosesOnce,
    "test_a_profiler_that_saw_nothing_can_be_closed": Averages,
}


class TestCounter(ProfilerSuite):
    def profiler(self) -> Counter:
        return Counter()


@pytest.mark.parametrize("name", rules_of(ProfilerSuite))
def test_the_profiler_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(ProfilerSuite):
        def profiler(self) -> Counter:
            return BROKEN[name]()

    assert broken_rules(Cases(), tmp_path) == [name]
