"""The rules of KV policies, checked over worlds that are simulated without tensors."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.contracts.kv import KVPolicy
from inferix_core.contracts.scheduler import Planner
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.simulation import Beginning, Moment, Seeing, simulate
from inferix_core.testing.toys import ToyPlanner


class KVPolicySuite(Suite):
    """Supply `policy`; supply `planner` where the policy belongs to one with other blocks or levels."""

    num_blocks = 12

    def policy(self) -> KVPolicy:
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
        planner, policy = self.planner(), self.policy()
        capacity = policy.capacity(planner.num_block_latents)
        if capacity is None:
            return
        for moment in simulate(planner, policy, num_blocks=self.num_blocks):
            if isinstance(moment, Beginning):
                assert moment.num_latents <= capacity, (
                    f"{moment.num_latents} latents are held when {moment.upcoming} begins; the capacity is {capacity}"
                )

    @rule
    def test_the_same_question_has_the_same_answer(self) -> None:
        policy = self.policy()
        first = list(simulate(self.planner(), policy, num_blocks=self.num_blocks))
        for moment in reversed(first):
            if isinstance(moment, Beginning):
                assert list(policy.retained(moment.held, moment.upcoming)) == list(moment.retained)
            else:
                assert list(policy.visible(moment.entry, moment.available)) == list(moment.visible)

    def _moments(self) -> Iterable[Moment]:
        return simulate(self.planner(), self.policy(), num_blocks=self.num_blocks)

    def _seen(self) -> list[Seeing]:
        seen = [moment for moment in self._moments() if isinstance(moment, Seeing)]
        assert seen, "the planner's plans have no entry that reads the cache"
        return seen
