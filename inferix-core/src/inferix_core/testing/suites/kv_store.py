"""The rules of KV stores and of the caches that they make."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inferix_core.contracts.kv import KVCache, KVStore
from inferix_core.errors import CapacityError, UnsupportedError
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites.base import Suite, rule

LAYOUT = KVLayout(num_layers=2, tokens_per_latent=3, fields={"k": FieldShape((1, 2)), "other": FieldShape((4,))})
"""Fields that no attention knows: a store never interprets them."""

PAGE_BYTES = 2 * 3 * (2 + 4) * 4


class KVStoreSuite(Suite):
    """Supply `store` and `small_store`. Pages are float32 and must come back bit for bit."""

    def store(self, *, layout: KVLayout, capacity: int | None) -> KVStore:
        """A new store on the CPU for float32 pages, as the engine builds it under a policy of that capacity."""
        raise NotImplementedError("Supply `store`: return the store that is to be tested.")

    def small_store(self, *, layout: KVLayout, num_latents: int) -> KVStore:
        """A new store whose caches have room for `num_latents` latents and no more."""
        raise NotImplementedError("Supply `small_store`: return a store with room for `num_latents` latents.")

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
    def test_worlds_share_nothing(self) -> None:
        store = self.store(layout=LAYOUT, capacity=None)
        one, other = store.create(), store.create()
        add(one, range(2))
        add(other, range(3), shift=500.0)
        other.drop([0])
        assert tuple(one.held) == (0, 1)
        assert reads(one, [0, 1])
        assert reads(other, [1, 2], shift=500.0)

    @rule
    def test_a_fork_goes_its_own_way_or_is_refused(self) -> None:
        cache = self._cache()
        add(cache, range(2))
        if "fork" not in self.provides:
            with pytest.raises(UnsupportedError):
                cache.fork()
            return
        fork = cache.fork()
        add(fork, range(2, 4), shift=50.0)
        add(cache, range(2, 4))
        cache.drop([0])
        assert (tuple(cache.held), tuple(fork.held)) == ((1, 2, 3), (0, 1, 2, 3))
        assert reads(cache, [1, 2, 3])
        assert reads(fork, [0, 1])
        assert reads(fork, [2, 3], shift=50.0)

    def _cache(self) -> KVCache:
        return self.store(layout=LAYOUT, capacity=None).create()


def content(latents: Sequence[int], layer: int, name: str, *, shift: float = 0.0) -> Tensor:
    """What the suite writes: every element of every token of every latent is another number."""
    shape = LAYOUT.fields[name].shape
    base = torch.arange(3.0 * torch.Size(shape).numel()).view(3, *shape) / 64
    sign = 1.0 if name == "k" else -1.0
    return torch.cat([sign * (base + 10.0 * latent + 1000.0 * layer + shift) for latent in latents])


def write(cache: KVCache, latents: range, *, shift: float = 0.0) -> None:
    """Writes drafts in every layer."""
    for layer in range(LAYOUT.num_layers):
        cache.write(layer, latents, {name: content(latents, layer, name, shift=shift) for name in LAYOUT.fields})


def add(cache: KVCache, latents: range, *, shift: float = 0.0) -> None:
    """Reserves, writes and commits."""
    cache.reserve(latents)
    write(cache, latents, shift=shift)
    cache.commit(latents)


def reads(cache: KVCache, latents: Sequence[int], *, shift: float = 0.0) -> bool:
    """Whether the cache gives what was written for `latents`, in order, in every layer and field."""
    ranges = [range(latent, latent + 1) for latent in latents]
    for layer in range(LAYOUT.num_layers if latents else 0):
        segments = cache.segments(layer, ranges)
        for name in LAYOUT.fields:
            joined = torch.cat([segment[name] for segment in segments], dim=1)[0]
            if not torch.equal(joined, content(latents, layer, name, shift=shift)):
                return False
    return True
