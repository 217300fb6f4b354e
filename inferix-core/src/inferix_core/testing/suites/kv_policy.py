"""The rules of KV policies, checked over worlds that are simulated without tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from inferix_core.contracts.kv import KVPolicy, RelevancePolicy
from inferix_core.contracts.scheduler import Planner
from inferix_core.runtime.sight import Relevance, Sight
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.simulation import Beginning, Moment, Scoring, Seeing, scattered_scores, simulate
from inferix_core.testing.toys import ToyPlanner


class KVPolicySuite(Suite):
    """Supply `policy`; supply `planner` where the policy belongs to one with other blocks or levels.

    A policy that provides "relevance" is given scores. Its budget must be so small that it has to choose within
    `num_blocks` blocks.
    """

    num_blocks = 12

    def policy(self) -> KVPolicy | RelevancePolicy:
        """A new policy, always of the same configuration."""
        raise NotImplementedError("Supply `policy`: return the policy that is to be tested.")

    def planner(self) -> Planner:
        """The planner of the simulated worlds: by default blocks of three latents, one in flight."""
        return ToyPlanner(num_block_latents=3)

    @rule
    def test_a_block_always_sees_its_own_latents(self) -> None:
        for moment in self._seen():
            unseen = set(moment.entry.latents) - set(moment.visible)
            assert not unseen, f"block {moment.entry.block} does not see its own latents {sorted(unseen)}"

    @rule
    def test_only_what_is_available_is_seen_in_ascending_order(self) -> None:
        for moment in self._seen():
            assert set(moment.visible) <= set(moment.available), f"of {moment.available}, {moment.visible} is seen"
            assert list(moment.visible) == sorted(set(moment.visible))

    @rule
    def test_only_what_is_held_is_retained_in_ascending_order(self) -> None:
        for moment in self._moments():
            if isinstance(moment, Beginning):
                assert set(moment.retained) <= set(moment.held), f"of {moment.held}, {moment.retained} is retained"
                assert list(moment.retained) == sorted(set(moment.retained))

    @rule
    def test_no_more_is_held_than_the_capacity(self) -> None:
        capacity = self.policy().capacity(self.planner().num_block_latents)
        if capacity is None:
            return
        for moment in self._moments():
            if isinstance(moment, Beginning):
                assert moment.num_latents <= capacity, (
                    f"{moment.num_latents} latents are held when {moment.upcoming} begins; the capacity is {capacity}"
                )

    @rule
    def test_the_same_question_has_the_same_answer(self) -> None:
        sight = self._sight()
        first = list(simulate(self.planner(), sight, num_blocks=self.num_blocks))
        for moment in reversed(first):
            assert _answer(sight, moment, moment.relevance) == _answer_of(moment)

    @rule
    def test_relevance_that_is_declared_matters(self) -> None:
        if not self._is_given_relevance:
            return
        sight, moments = self._sight(), list(self._moments())
        assert any(
            _answer(sight, moment, scores) != _answer_of(moment)
            for moment in moments
            for scores in ({x: float(x) for x in moment.relevance}, {x: -float(x) for x in moment.relevance})
        ), "whatever the scores, the same latents are retained and seen; is the budget as large as the whole world?"

    @rule
    def test_relevance_that_is_not_declared_is_not_taken(self) -> None:
        if self._is_given_relevance:
            return
        unasked = Sight(self.policy(), needs_relevance=True)
        for moment in self._moments():
            with pytest.raises(TypeError, match="relevance"):
                _answer(unasked, moment, moment.relevance)

    @rule
    def test_the_order_of_the_scores_does_not_matter(self) -> None:
        if not self._is_given_relevance:
            return
        sight = self._sight()
        for moment in self._moments():
            reverse = dict(reversed(list(moment.relevance.items())))
            assert _answer(sight, moment, reverse) == _answer_of(moment), f"the scores were {dict(moment.relevance)}"

    @rule
    def test_latents_may_have_no_score(self) -> None:
        if not self._is_given_relevance:
            return
        for scoring in (_no_scores, _every_second_score):
            for moment in self._moments(scoring):
                if isinstance(moment, Beginning):
                    assert set(moment.retained) <= set(moment.held)
                else:
                    assert set(moment.entry.latents) <= set(moment.visible) <= set(moment.available)

    @property
    def _is_given_relevance(self) -> bool:
        return "relevance" in self.provides

    def _sight(self) -> Sight:
        return Sight(self.policy(), needs_relevance=self._is_given_relevance)

    def _moments(self, scoring: Scoring = scattered_scores) -> Iterable[Moment]:
        return simulate(self.planner(), self._sight(), num_blocks=self.num_blocks, scoring=scoring)

    def _seen(self) -> list[Seeing]:
        seen = [moment for moment in self._moments() if isinstance(moment, Seeing)]
        assert seen, "the planner's plans have no entry that reads the cache"
        return seen


def _answer(sight: Sight, moment: Moment, relevance: Relevance) -> tuple[int, ...]:
    """What the policy says to the moment's question under these scores."""
    if isinstance(moment, Beginning):
        return tuple(sight.retained(moment.held, moment.upcoming, relevance))
    return tuple(sight.visible(moment.entry, moment.available, relevance))


def _answer_of(moment: Moment) -> tuple[int, ...]:
    return moment.retained if isinstance(moment, Beginning) else moment.visible


def _no_scores(latents: Sequence[int]) -> Relevance:
    return {}


def _every_second_score(latents: Sequence[int]) -> Relevance:
    return {latent: score for latent, score in scattered_scores(latents).items() if latent % 2}
