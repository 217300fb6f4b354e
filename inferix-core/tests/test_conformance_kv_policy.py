"""Every rule of the policy suite is broken by one policy that keeps all others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from inferix_core.defaults.full import FullPolicy
from inferix_core.plan import Entry
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import KVPolicySuite, broken_rules, rules_of


class BlindToItself(FullPolicy):
    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        return [latent for latent in available if latent != entry.latents[-1]]


class SeesWhatIsNotThere(FullPolicy):
    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        return [*available, entry.latents.stop]


class RetainsWhatComes(FullPolicy):
    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        return [*held, upcoming.start]


class PromisesTooLittle(FullPolicy):
    def capacity(self, num_block_latents: int) -> int | None:
        return 2 * num_block_latents


class ChangesItsMind(FullPolicy):
    num_calls = 0

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        self.num_calls += 1
        return available if self.num_calls % 2 else [x for x in available if x in entry.latents]


BROKEN: dict[str, type[FullPolicy]] = {
    "test_a_block_always_sees_its_own_latents": BlindToItself,
    "test_only_what_is_available_is_seen_in_ascending_order": SeesWhatIsNotThere,
    "test_only_what_is_held_is_retained_in_ascending_order": RetainsWhatComes,
    "test_no_more_is_held_than_the_capacity": PromisesTooLittle,
    "test_the_same_question_has_the_same_answer": ChangesItsMind,
}


class TestFullPolicy(KVPolicySuite):
    def policy(self) -> FullPolicy:
        return FullPolicy(ComponentConfig())


@pytest.mark.parametrize("name", rules_of(KVPolicySuite))
def test_the_policy_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(KVPolicySuite):
        def policy(self) -> FullPolicy:
            return BROKEN[name](ComponentConfig())

    assert broken_rules(Cases(), tmp_path) == [name]
