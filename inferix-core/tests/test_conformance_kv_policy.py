"""Every rule of the policy suite is broken by one policy that keeps all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from inferix_core.defaults.full import FullPolicy
from inferix_core.plan import Entry
from inferix_core.runtime.sight import Sight
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import KVPolicySuite, broken_rules, rules_of
from inferix_core.testing.suites.simulation import simulate
from inferix_core.testing.toys import ToyPlanner, ToyStaggeredPlanner


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


class TakesScoresUnasked(FullPolicy):
    def visible(
        self, entry: Entry, available: Sequence[int], *, relevance: Mapping[int, float] | None = None
    ) -> Sequence[int]:
        return available


class TwoMostRelevant:
    """Keeps everything; a block sees itself and two of the latents before it."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def retained(self, held: Sequence[int], upcoming: range, *, relevance: Mapping[int, float]) -> Sequence[int]:
        return held

    def visible(self, entry: Entry, available: Sequence[int], *, relevance: Mapping[int, float]) -> Sequence[int]:
        older = [latent for latent in available if latent < entry.latents.start]
        return [*sorted(self.best(older, relevance)), *(x for x in available if x >= entry.latents.start)]

    def best(self, older: Sequence[int], relevance: Mapping[int, float]) -> Sequence[int]:
        return sorted(older, key=lambda latent: (relevance.get(latent, 0.0), latent))[-2:]

    def capacity(self, num_block_latents: int) -> int | None:
        return None


class IgnoresScores(TwoMostRelevant):
    def best(self, older: Sequence[int], relevance: Mapping[int, float]) -> Sequence[int]:
        return older[:2]


class BreaksTiesByTheOrderOfScores(TwoMostRelevant):
    def best(self, older: Sequence[int], relevance: Mapping[int, float]) -> Sequence[int]:
        order = list(relevance)
        return sorted(older, key=lambda x: (relevance.get(x, 0.0), order.index(x) if x in relevance else -1))[-2:]


class NeedsEveryScore(TwoMostRelevant):
    def best(self, older: Sequence[int], relevance: Mapping[int, float]) -> Sequence[int]:
        return sorted(older, key=lambda latent: (relevance[latent], latent))[-2:]


BROKEN: dict[str, type[FullPolicy | TwoMostRelevant]] = {
    "test_a_block_always_sees_its_own_latents": BlindToItself,
    "test_only_what_is_available_is_seen_in_ascending_order": SeesWhatIsNotThere,
    "test_only_what_is_held_is_retained_in_ascending_order": RetainsWhatComes,
    "test_no_more_is_held_than_the_capacity": PromisesTooLittle,
    "test_the_same_question_has_the_same_answer": ChangesItsMind,
    "test_relevance_that_is_declared_matters": IgnoresScores,
    "test_relevance_that_is_not_declared_is_not_taken": TakesScoresUnasked,
    "test_the_order_of_the_scores_does_not_matter": BreaksTiesByTheOrderOfScores,
    "test_latents_may_have_no_score": NeedsEveryScore,
}


class TestFullPolicy(KVPolicySuite):
    def policy(self) -> FullPolicy:
        return FullPolicy(ComponentConfig())


class TestPolicyOfRelevance(KVPolicySuite):
    provides = frozenset({"relevance"})

    def policy(self) -> TwoMostRelevant:
        return TwoMostRelevant(ComponentConfig())


class TestPolicyOfRelevanceWithBlocksInFlight(TestPolicyOfRelevance):
    def planner(self) -> ToyStaggeredPlanner:
        return ToyStaggeredPlanner()


@pytest.mark.parametrize("name", rules_of(KVPolicySuite))
def test_the_policy_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]

    class Cases(KVPolicySuite):
        provides = frozenset({"relevance"} if issubclass(broken, TwoMostRelevant) else ())

        def policy(self) -> FullPolicy | TwoMostRelevant:
            return broken(ComponentConfig())

    assert broken_rules(Cases(), tmp_path) == [name]


def test_a_policy_that_declares_no_relevance_is_asked_without_and_one_that_does_with_it() -> None:
    asked: list[object] = []

    class Listener(FullPolicy):
        def retained(self, held: Sequence[int], upcoming: range, **more: object) -> Sequence[int]:
            asked.append(more)
            return held

        def visible(self, entry: Entry, available: Sequence[int], **more: object) -> Sequence[int]:
            asked.append(more)
            return available

    for needs_relevance in (False, True):
        asked.clear()
        list(simulate(ToyPlanner(), Sight(Listener(ComponentConfig()), needs_relevance), num_blocks=2))
        assert [bool(more) for more in asked] == [needs_relevance] * 8
    assert asked[-1] == {"relevance": {0: 0.0, 1: 2.0}}, "the scores of what was held when the block began"
