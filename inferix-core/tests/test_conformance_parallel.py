"""Every rule of the suite of strategies is broken by one strategy that keeps all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from inferix_core.contracts.parallel import ParallelStrategy, Ranks, Share
from inferix_core.plan import KVLayout
from inferix_core.testing.suites import ParallelSuite, rules_of
from inferix_core.testing.toy_strategy import ToyStrategy
from torch import Tensor


class TestToyStrategy(ParallelSuite):
    num_ranks = (2,)

    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        return ToyStrategy(ranks=ranks, layout=layout)


class RoundsOnOneRank(ToyStrategy):
    def restore(self, out: Tensor) -> Tensor:
        return out.half().to(out.dtype) if self.ranks.num_ranks == 1 else out


class SeesItsOwnAlone(ToyStrategy):
    def attend(self, q: Tensor, segments: Sequence[Any], *, backend: Any, scale: float) -> Tensor:
        return backend.attend(q, segments, scale=scale)[0]


class SplitsHeadsOfQueriesAlone(ToyStrategy):
    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self.ranks.num_ranks > 1 and fields["k"].shape[2] < q.shape[2]:
            fields = {name: 0.9 * x for name, x in fields.items()}
        return q, fields


class LeavesTokensOut(ToyStrategy):
    @property
    def shares(self) -> Sequence[Share]:
        *others, last = super().shares
        return [*others, replace(last, tokens=range(last.tokens.start, last.tokens.stop - 1))]


class KeepsHalfOfTheHeads(ToyStrategy):
    @property
    def shares(self) -> Sequence[Share]:
        return [replace(share, num_head_parts=2) for share in super().shares]


class KeepsEverything(ToyStrategy):
    @property
    def shares(self) -> Sequence[Share]:
        return [replace(share, kept_tokens=range(15)) for share in super().shares]


class WritesIntoTheQueries(ToyStrategy):
    def attend(self, q: Tensor, segments: Sequence[Any], *, backend: Any, scale: float) -> Tensor:
        out = super().attend(q, segments, backend=backend, scale=scale)
        q.mul_(2.0)
        return out


class TakesAnyNumberOfRanks(ToyStrategy):
    def __init__(self, *, ranks: Ranks, layout: KVLayout) -> None:
        super().__init__(ranks=ranks, layout=replace(layout, tokens_per_latent=max(layout.tokens_per_latent, 15)))


class NeedsTheNumberOfHeads(ToyStrategy):
    def __init__(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None = None) -> None:
        super().__init__(ranks=ranks, layout=layout)
        self.is_blind = num_heads is None and ranks.num_ranks > 1

    def attend(self, q: Tensor, segments: Sequence[Any], *, backend: Any, scale: float) -> Tensor:
        return (
            backend.attend(q, segments, scale=scale)[0]
            if self.is_blind
            else super().attend(q, segments, backend=backend, scale=scale)
        )


class KnowsOneWorld(ToyStrategy):
    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        return q[:1].expand_as(q), fields


BROKEN: dict[str, type[ToyStrategy]] = {
    "test_one_rank_makes_the_same_bits_as_no_strategy": RoundsOnOneRank,
    "test_ranks_make_the_latents_of_one": SeesItsOwnAlone,
    "test_models_that_know_nothing_of_shares_run_too": NeedsTheNumberOfHeads,
    "test_query_heads_share_fewer_key_heads": SplitsHeadsOfQueriesAlone,
    "test_keys_are_rotated_by_their_place_in_a_window": SeesItsOwnAlone,
    "test_several_blocks_in_flight_see_what_they_would": SeesItsOwnAlone,
    "test_worlds_of_a_batch_make_what_they_would": KnowsOneWorld,
    "test_every_token_is_computed_by_one_rank": LeavesTokensOut,
    "test_pages_of_all_ranks_together_are_whole": KeepsHalfOfTheHeads,
    "test_each_rank_keeps_a_part_of_the_pages": KeepsEverything,
    "test_queries_and_segments_stay_as_they_are": WritesIntoTheQueries,
    "test_more_ranks_than_can_be_used_are_refused_on_every_rank": TakesAnyNumberOfRanks,
}


@pytest.mark.parametrize("name", rules_of(ParallelSuite))
def test_the_strategy_that_breaks_a_rule_fails_it(name: str) -> None:
    broken = BROKEN[name]

    class Cases(ParallelSuite):
        num_ranks = (2,)

        def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
            arguments = {"num_heads": num_heads} if broken is NeedsTheNumberOfHeads else {}
            return broken(ranks=ranks, layout=layout, **arguments)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(Cases(), name)()
