"""The rules of KV stores and of the caches that they make."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inferix_core.contracts.attention import Segment
from inferix_core.errors import CapacityError, ConfigError
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites.base import rule
from inferix_core.testing.suites.kv_fork import KVForkRules
from inferix_core.testing.suites.kv_pages import LAYOUT, PAGE_BYTES, add, content, reads, write


class KVStoreSuite(KVForkRules):
    """Supply `store` and `small_store`. Pages are float32 and must come back bit for bit.

    A store that declares "bounded" cannot be without a capacity, one that declares "shared-pages" keeps what forks have
    in common once.
    """

    @rule
    def test_a_new_cache_is_empty(self) -> None:
        cache = self._cache()
        assert (tuple(cache.held), tuple(cache.reserved)) == ((), ())

    @rule
    def test_a_latent_is_reserved_until_it_is_committed(self) -> None:
        cache = self._cache()
        cache.reserve(range(2))
        assert (tuple(cache.held), tuple(cache.reserved)) == ((), (0, 1))
        write(cache, range(2))
        assert (tuple(cache.held), tuple(cache.reserved)) == ((), (0, 1)), "a draft is no page"
        cache.commit(range(2))
        assert (tuple(cache.held), tuple(cache.reserved)) == ((0, 1), ())

    @rule
    def test_an_uncommitted_page_is_a_draft_again(self) -> None:
        cache = self._cache()
        add(cache, range(2))
        add(cache, range(2, 4))
        cache.uncommit(range(2, 4))
        assert (tuple(cache.held), tuple(cache.reserved)) == ((0, 1), (2, 3))
        write(cache, range(2, 4), shift=50.0)
        cache.commit(range(2, 4))
        assert reads(cache, [2, 3], shift=50.0)
        assert tuple(cache.held) == (0, 1, 2, 3)

    @rule
    def test_the_draft_that_was_written_last_is_read(self) -> None:
        cache = self._cache()
        add(cache, range(1))
        cache.reserve(range(1, 3))
        for shift in (100.0, 200.0):
            write(cache, range(1, 3), shift=shift)
            assert reads(cache, [1, 2], shift=shift)

    @rule
    def test_pages_and_drafts_are_read_as_one_run_of_tokens(self) -> None:
        cache = self._cache()
        add(cache, range(2))
        cache.reserve(range(2, 4))
        write(cache, range(2, 4))
        for layer in range(LAYOUT.num_layers):
            segments = cache.segments(layer, [range(1, 4)])
            for name, shape in LAYOUT.fields.items():
                joined = torch.cat([segment[name] for segment in segments], dim=1)
                assert joined.shape == (1, 9, *shape.shape)
                assert torch.equal(joined[0], content([1, 2, 3], layer, name))

    @rule
    def test_only_the_ranges_that_are_asked_for_are_read(self) -> None:
        cache = self._cache()
        add(cache, range(6))
        assert reads(cache, [0, 2, 3, 5])
        assert reads(cache, [4])

    @rule
    def test_pages_survive_any_history_of_blocks_and_drops(self) -> None:
        blocks = st.lists(st.tuples(st.integers(1, 3), st.sets(st.integers(0, 8))), max_size=10)

        @settings(max_examples=25, deadline=None, derandomize=True, database=None)
        @given(blocks)
        def check(history: list[tuple[int, set[int]]]) -> None:
            cache, held, following = self._cache(), list[int](), 0
            for num_latents, places in history:
                gone = [latent for place, latent in enumerate(held) if place in places]
                cache.drop(gone)
                add(cache, range(following, following + num_latents))
                held = [latent for latent in held if latent not in gone]
                held += range(following, following + num_latents)
                following += num_latents
                assert tuple(cache.held) == tuple(held)
                assert reads(cache, held), f"pages of {held} differ from what was written, after {history}"

        check()

    @rule
    def test_a_refused_reservation_changes_nothing(self) -> None:
        cache = self.small_store(layout=LAYOUT, num_latents=4).create()
        add(cache, range(3))
        with pytest.raises(CapacityError):
            cache.reserve(range(3, 5))
        assert (tuple(cache.held), tuple(cache.reserved)) == ((0, 1, 2), ())
        assert reads(cache, [0, 1, 2])
        add(cache, range(3, 4))
        assert reads(cache, [0, 1, 2, 3])

    @rule
    def test_the_room_of_what_is_dropped_is_used_again(self) -> None:
        cache = self.small_store(layout=LAYOUT, num_latents=4).create()
        for start in range(0, 40, 2):
            cache.drop([latent for latent in cache.held if latent < start - 2])
            add(cache, range(start, start + 2))
        assert reads(cache, [36, 37, 38, 39])

    @rule
    def test_a_reservation_can_be_given_up(self) -> None:
        cache = self._cache()
        add(cache, range(2))
        cache.reserve(range(2, 4))
        cache.drop(range(2, 4))
        assert (tuple(cache.held), tuple(cache.reserved)) == ((0, 1), ())
        assert reads(cache, [0, 1])

    @rule
    def test_a_window_takes_no_more_memory_however_long_the_world_lives(self) -> None:
        cache = self.store(layout=LAYOUT, capacity=6).create()
        sizes = []
        for start in range(0, 90, 3):
            cache.drop([latent for latent in cache.held if latent < start - 3])
            add(cache, range(start, start + 3))
            sizes.append(cache.num_bytes)
        assert max(sizes[10:]) <= max(sizes[:10]), f"the cache grew from {max(sizes[:10])} to {max(sizes)} bytes"

    @rule
    def test_the_bytes_of_the_pages_are_counted(self) -> None:
        cache = self._cache()
        add(cache, range(5))
        assert cache.num_bytes >= 5 * PAGE_BYTES

    @rule
    def test_a_closed_cache_keeps_no_memory(self) -> None:
        cache = self._cache()
        add(cache, range(2))
        cache.close()
        assert cache.num_bytes == 0

    @rule
    def test_latents_come_in_ascending_order_however_many_ranges_are_asked_for(self) -> None:
        cache = self._cache()
        add(cache, range(6))
        cache.drop([1, 2, 4])
        add(cache, range(6, 9))
        add(cache, range(9, 12))
        for layer in range(LAYOUT.num_layers):
            segments = cache.segments(layer, [range(1), range(3, 4), range(5, 8), range(10, 12)])
            for name in LAYOUT.fields:
                joined = torch.cat([segment[name] for segment in segments], dim=1)
                assert torch.equal(joined[0], content([0, 3, 5, 6, 7, 10, 11], layer, name))

    @rule
    def test_fields_with_rows_of_their_own_come_back(self) -> None:
        fields = {"codes": FieldShape((2,), dtype="uint8"), "scales": FieldShape((3,), dtype="float16", num_rows=2)}
        written = {
            "codes": torch.arange(2 * 3 * 2, dtype=torch.uint8).view(6, 2),
            "scales": torch.arange(2 * 2 * 3, dtype=torch.float16).view(4, 3),
        }
        cache = self._cache(KVLayout(num_layers=1, tokens_per_latent=3, fields=fields))
        cache.reserve(range(2))
        cache.write(0, range(2), written)
        cache.commit(range(2))
        assert_joined(cache.segments(0, [range(2)]), written)
        assert_joined(
            cache.segments(0, [range(1, 2)]), {"codes": written["codes"][3:], "scales": written["scales"][2:]}
        )

    @rule
    def test_a_store_without_a_bound_works_or_is_refused_when_it_is_built(self) -> None:
        if "bounded" in self.provides:
            with pytest.raises(ConfigError):
                self.store(layout=LAYOUT, capacity=None)
            return
        cache = self.store(layout=LAYOUT, capacity=None).create()
        for start in range(0, 60, 3):
            add(cache, range(start, start + 3))
        assert reads(cache, range(60))

    @rule
    def test_a_store_has_taken_at_least_what_its_caches_use(self) -> None:
        store = self._store()
        cache = store.create()
        for start in range(0, 12, 3):
            add(cache, range(start, start + 3))
            assert store.num_reserved_bytes >= store.num_bytes

    @rule
    def test_closing_twice_is_harmless(self) -> None:
        store = self._store()
        cache, other = store.create(), store.create()
        add(cache, range(2))
        add(other, range(2))
        cache.close()
        cache.close()
        assert reads(other, [0, 1])

    @rule
    def test_the_bytes_of_a_store_are_those_of_all_its_caches(self) -> None:
        store = self._store()
        caches = [store.create() for _ in range(3)]
        for cache in caches:
            add(cache, range(4))
        assert store.num_bytes >= 3 * 4 * PAGE_BYTES
        assert store.num_bytes >= sum(cache.num_bytes for cache in caches)

    @rule
    def test_a_store_keeps_no_bytes_once_all_its_caches_are_closed(self) -> None:
        store = self._store()
        caches = [store.create(), store.create()]
        for cache in caches:
            add(cache, range(3))
        if "fork" in self.provides:
            caches.append(caches[0].fork())
        for cache in caches:
            cache.close()
        assert store.num_bytes == 0

    @rule
    def test_a_cache_that_is_let_go_without_being_closed_keeps_no_memory(self) -> None:
        store = self._store()
        cache = store.create()
        add(cache, range(3))
        del cache
        gc.collect()
        assert store.num_bytes == 0

    @rule
    def test_worlds_share_nothing(self) -> None:
        store = self._store()
        one, other = store.create(), store.create()
        add(one, range(2))
        add(other, range(3), shift=500.0)
        other.drop([0])
        assert tuple(one.held) == (0, 1)
        assert reads(one, [0, 1])
        assert reads(other, [1, 2], shift=500.0)


def assert_joined(segments: Sequence[Segment], expected: Mapping[str, Tensor]) -> None:
    """Fails unless the segments' rows are those of `expected`, field by field."""
    for name, rows in expected.items():
        assert torch.equal(torch.cat([segment[name] for segment in segments], dim=1)[0], rows), name
