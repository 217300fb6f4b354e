"""The rules of parallel strategies, run on forked processes of this machine over gloo.

Letters: L latents, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor

from inferix_core.contracts.attention import AttentionBackend, Segment
from inferix_core.contracts.parallel import ParallelStrategy, Ranks, Share
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.errors import ConfigError
from inferix_core.plan import KVLayout
from inferix_core.runtime.engine import Engine
from inferix_core.specs import ComponentConfig
from inferix_core.testing.grid_model import GridModel, WholeRotary
from inferix_core.testing.ranks import on_ranks
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged
from inferix_core.testing.toy_engine import spread_toy_engine, toy_engine
from inferix_core.testing.toys import ToyStaggeredPlanner

TOLERANCE = 1e-4
"""How far the latents of a first block may be from those of one rank, in float32."""


class ParallelSuite(Suite):
    """Supply `strategy`, and the numbers of ranks that it is tested on besides one."""

    num_ranks: tuple[int, ...] = (2, 4)
    timeout_seconds = 60.0
    keeps_part = True
    """Whether each of several ranks keeps less than all pages."""

    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        """The strategy, as the engine builds it."""
        raise NotImplementedError("Supply `strategy`: return the strategy that is to be tested, built for these ranks.")

    @rule
    def test_one_rank_makes_the_same_bits_as_no_strategy(self) -> None:
        for shards_tokens in (True, False):
            (found,) = on_ranks(1, self._latents, {"shards_tokens": shards_tokens})
            assert torch.equal(found, _without_strategy({}))

    @rule
    def test_ranks_make_the_latents_of_one(self) -> None:
        self._check({})

    @rule
    def test_models_that_know_nothing_of_shares_run_too(self) -> None:
        self._check({"shards_tokens": False})

    @rule
    def test_query_heads_share_fewer_key_heads(self) -> None:
        self._check({"num_kv_heads": 2})

    @rule
    def test_keys_are_rotated_by_their_place_in_a_window(self) -> None:
        self._check({"window_relative": True})
        self._check({"window_relative": True, "shards_tokens": False}, (self.num_ranks[0],))

    @rule
    def test_several_blocks_in_flight_see_what_they_would(self) -> None:
        self._check({"is_staggered": True}, (self.num_ranks[0],))

    @rule
    def test_worlds_of_a_batch_make_what_they_would(self) -> None:
        self._check({"num_worlds": 2}, (self.num_ranks[0],))

    @rule
    def test_every_token_is_computed_by_one_rank(self) -> None:
        for num_ranks in self.num_ranks:
            shares = self._shares(num_ranks)
            layers = {layer for share in shares for layer in share.layers}
            for layer in layers:
                tokens = [token for share in shares if layer in share.layers for token in share.tokens]
                assert sorted(tokens) == list(range(GridModel().layout.tokens_per_latent))
            assert layers == set(range(GridModel().layout.num_layers))

    @rule
    def test_pages_of_all_ranks_together_are_whole(self) -> None:
        layout, num_heads = GridModel().layout, GridModel().num_heads
        for num_ranks in self.num_ranks:
            kept = torch.zeros(layout.num_layers, layout.tokens_per_latent, num_heads, dtype=torch.int64)
            for share in self._shares(num_ranks):
                heads = share.heads(num_heads)
                kept[
                    share.layers.start : share.layers.stop,
                    share.kept_tokens.start : share.kept_tokens.stop,
                    heads.start : heads.stop,
                ] += 1
            assert bool((kept >= 1).all()), "some tokens or heads are kept nowhere"

    @rule
    def test_each_rank_keeps_a_part_of_the_pages(self) -> None:
        if not self.keeps_part:
            return
        whole = _page_size(GridModel().layout)
        for num_ranks in self.num_ranks:
            sizes = [_page_size(share.layout(GridModel().layout)) for share in self._shares(num_ranks)]
            assert max(sizes) < whole, "one rank keeps everything"

    @rule
    def test_queries_and_segments_stay_as_they_are(self) -> None:
        for unchanged in on_ranks(
            self.num_ranks[0], self._attends_without_change, timeout_seconds=self.timeout_seconds
        ):
            assert unchanged

    @rule
    def test_more_ranks_than_can_be_used_are_refused_on_every_rank(self) -> None:
        for message in on_ranks(4, self._refusal, timeout_seconds=self.timeout_seconds):
            assert message, "4 ranks took a model of 3 tokens a latent, 1 layer and 1 head"
            assert any(digit.isdigit() for digit in message), "the error says which numbers there are"

    def _check(self, case: Mapping[str, Any], num_ranks: tuple[int, ...] = ()) -> None:
        expected = _without_strategy(case)
        for count in num_ranks or self.num_ranks:
            for found in self._run(count, case):
                torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0.0)

    def _run(self, num_ranks: int, case: Mapping[str, Any]) -> list[Tensor]:
        return on_ranks(num_ranks, self._latents, case, timeout_seconds=self.timeout_seconds)

    def _latents(self, ranks: Ranks, case: Mapping[str, Any]) -> Tensor:
        """What a rank makes of a case: clean latents of its worlds' first blocks."""
        model = _model(case)
        strategy = self.strategy(
            ranks=ranks, layout=model.layout, num_heads=model.num_heads if _shards_tokens(case) else None
        )
        return _first_blocks(
            spread_toy_engine(strategy, ranks=ranks, model=model, shards_tokens=_shards_tokens(case), **_changes(case)),
            case,
        )

    def _shares(self, num_ranks: int) -> list[Share]:
        shares: list[Share] = on_ranks(num_ranks, self._own_shares, timeout_seconds=self.timeout_seconds)[0]
        assert len(shares) == num_ranks, "there is a share for each rank"
        return shares

    def _own_shares(self, ranks: Ranks) -> list[Share]:
        model = GridModel()
        return list(self.strategy(ranks=ranks, layout=model.layout, num_heads=model.num_heads).shares)

    def _attends_without_change(self, ranks: Ranks) -> bool:
        model = GridModel()
        strategy = self.strategy(ranks=ranks, layout=model.layout, num_heads=model.num_heads)
        generator = torch.Generator().manual_seed(0)
        num_tokens = len(strategy.shares[ranks.rank].tokens)
        given = [torch.randn(1, 2 * num_tokens, 4, 8, generator=generator) for _ in range(3)]
        copies = copies_of(given)
        q, fields = strategy.exchange(given[0], {"k": given[1], "v": given[2]})
        segment: Segment = fields
        kept = copies_of([q, segment])
        backend: AttentionBackend = SdpaBackend(ComponentConfig())
        strategy.restore(strategy.attend(q, [segment], backend=backend, scale=0.3))
        return is_unchanged(given, copies) and is_unchanged([q, segment], kept)

    def _refusal(self, ranks: Ranks) -> str:
        whole = GridModel(num_heads=1, num_layers=1)
        layout = replace(whole.layout, tokens_per_latent=3)
        try:
            self.strategy(ranks=ranks, layout=layout, num_heads=1)
        except ConfigError as error:
            return str(error)
        except Exception as error:
            pytest.fail(f"{type(error).__name__} and not ConfigError: {error}")
        return ""


def _without_strategy(case: Mapping[str, Any]) -> Tensor:
    return _first_blocks(toy_engine(model=_model(case), **_changes(case)), case)


def _first_blocks(engine: Engine, case: Mapping[str, Any]) -> Tensor:
    """Clean latents `[L, C, h, w]` of all that the worlds have committed after two steps."""
    worlds = [engine.create_world(f"prompt {place}", seed=place) for place in range(case.get("num_worlds", 1))]
    for _ in range(2):
        engine.step(worlds)
    return torch.stack([latent for world in worlds for latent in world.state.committed.values()])


def _model(case: Mapping[str, Any]) -> GridModel:
    rotary = None if _shards_tokens(case) else WholeRotary()
    return GridModel(num_kv_heads=case.get("num_kv_heads"), rotary=rotary)


def _shards_tokens(case: Mapping[str, Any]) -> bool:
    return bool(case.get("shards_tokens", True))


def _changes(case: Mapping[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {"window_relative": case.get("window_relative", False)}
    if case.get("is_staggered"):
        changes["planner"] = ToyStaggeredPlanner()
    return changes


def _page_size(layout: KVLayout) -> int:
    return layout.num_layers * sum(prod(layout.page_shape(name)) for name in layout.fields)
