"""The rules of forks of KV caches; a store that does not provide "fork" refuses to and is exempt from the others."""

from __future__ import annotations

import pytest

from inferix_core.errors import UnsupportedError
from inferix_core.testing.suites.base import rule
from inferix_core.testing.suites.kv_pages import PAGE_BYTES, KVStoreCase, add, reads, write


class KVForkRules(KVStoreCase):
    """What forks have in common with their parents, and what they do not."""

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

    @rule
    def test_a_fork_has_no_drafts_and_no_reservations(self) -> None:
        if "fork" not in self.provides:
            return
        cache = self._cache()
        add(cache, range(2))
        cache.reserve(range(2, 4))
        fork = cache.fork()
        assert (tuple(fork.held), tuple(fork.reserved)) == ((0, 1), ())
        assert tuple(cache.reserved) == (2, 3)

    @rule
    def test_what_a_fork_writes_does_not_reach_the_drafts_of_its_parent(self) -> None:
        if "fork" not in self.provides:
            return
        cache = self._cache()
        add(cache, range(2))
        cache.reserve(range(2, 4))
        write(cache, range(2, 4), shift=7.0)
        fork = cache.fork()
        add(fork, range(2, 4), shift=50.0)
        assert reads(cache, [2, 3], shift=7.0)
        cache.commit(range(2, 4))
        assert reads(fork, [2, 3], shift=50.0)

    @rule
    def test_a_page_that_is_uncommitted_and_rewritten_stays_as_it_was_in_the_other_cache(self) -> None:
        if "fork" not in self.provides:
            return
        cache = self._cache()
        add(cache, range(3))
        fork = cache.fork()
        fork.uncommit(range(1, 3))
        write(fork, range(1, 3), shift=50.0)
        cache.uncommit(range(1))
        write(cache, range(1), shift=90.0)
        assert reads(cache, [0], shift=90.0)
        assert reads(cache, [1, 2])
        assert reads(fork, [0])
        assert reads(fork, [1, 2], shift=50.0)

    @rule
    def test_what_a_fork_drops_stays_in_its_parent_and_the_reverse(self) -> None:
        if "fork" not in self.provides:
            return
        cache = self._cache()
        add(cache, range(4))
        fork = cache.fork()
        fork.drop([1, 2])
        add(fork, range(4, 7), shift=50.0)
        assert reads(cache, [0, 1, 2, 3])
        cache.drop([0])
        add(cache, range(7, 9))
        assert reads(fork, [0, 3])
        assert reads(fork, [4, 5, 6], shift=50.0)
        assert reads(cache, [1, 2, 3, 7, 8])

    @rule
    def test_closing_a_fork_gives_back_nothing_of_its_parent_and_the_reverse(self) -> None:
        if "fork" not in self.provides:
            return
        store = self._store()
        cache = store.create()
        add(cache, range(4))
        cache.fork().close()
        add(cache, range(4, 8))
        assert reads(cache, range(8))
        fork = cache.fork()
        cache.close()
        add(store.create(), range(8), shift=300.0)
        assert reads(fork, range(8))

    @rule
    def test_forks_keep_what_they_have_in_common_once_where_that_is_declared(self) -> None:
        if "fork" not in self.provides:
            return
        store = self._store()
        cache = store.create()
        add(cache, range(8))
        num_bytes = store.num_bytes
        forks = [cache.fork() for _ in range(4)]
        if "shared-pages" not in self.provides:
            assert store.num_bytes >= 5 * 8 * PAGE_BYTES, "shared pages are declared, or they are not shared"
            return
        assert store.num_bytes < 1.01 * num_bytes
        for place, fork in enumerate(forks):
            add(fork, range(8, 11), shift=50.0 * place)
        own = 4 * 3 * PAGE_BYTES
        assert own <= store.num_bytes < 1.01 * (num_bytes + own)
        assert all(reads(fork, range(8, 11), shift=50.0 * place) for place, fork in enumerate(forks))
