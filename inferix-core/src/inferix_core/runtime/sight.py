"""The policy as the loop asks it: with scores where it wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from inferix_core.contracts.kv import KVPolicy, RelevancePolicy
    from inferix_core.plan import Entry

Relevance = Mapping[int, float]
"""A score for each held latent, fixed while a block is made."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A policy, and whether it chooses by content."""

    policy: KVPolicy | RelevancePolicy
    needs_relevance: bool = False

    def retained(self, held: Sequence[int], upcoming: range, relevance: Relevance) -> Sequence[int]:
        """See `KVPolicy.retained`."""
        if self.needs_relevance:
            return cast("RelevancePolicy", self.policy).retained(held, upcoming, relevance=relevance)
        return cast("KVPolicy", self.policy).retained(held, upcoming)

    def visible(self, entry: Entry, available: Sequence[int], relevance: Relevance) -> Sequence[int]:
        """See `KVPolicy.visible`."""
        if self.needs_relevance:
            return cast("RelevancePolicy", self.policy).visible(entry, available, relevance=relevance)
        return cast("KVPolicy", self.policy).visible(entry, available)
