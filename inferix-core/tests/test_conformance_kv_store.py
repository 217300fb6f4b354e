"""Every rule of the store suite is broken by one store that keeps all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from inferix_core.contracts.attention import Segment
from inferix_core.plan import KVLayout
from inferix_core.testing.suites import KVStoreSuite, broken_rules, rules_of
from inferix_core.testing.toy_store import ToyCache, ToyStore
from torch import Tensor


def suite_of(cache_type: type[ToyCache], *, provides: frozenset[str] = frozenset({"fork"})) -> KVStoreSuite:
    class Store(ToyStore):
        def create(self) -> ToyCache:
            return cache_type(max_latents=self._max_latents)

    class Cases(KVStoreSuite):
        def store(self, *, layout: KVLayout, capacity: int | None) -> ToyStore:
            return Store()

        def small_store(self, *, layout: KVLayout, num_latents: int) -> ToyStore:
            return Store(max_latents=num_latents)

    Cases.provides = provides
    return Cases()


class NeverEmpty(ToyCache):
    @property
    def reserved(self) -> tuple[int, ...]:
        return super().reserved if self.pages else (0,)


class CommitsWhenWritten(ToyCache):
    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        super().write(layer, latents, fields)
        self.committed.update(latents)


class UncommitForgets(ToyCache):
    def uncommit(self, latents: range) -> None:
        self.drop(latents)


class KeepsFirstDraft(ToyCache):
    def __init__(self, *, max_latents: int | None) -> None:
        super().__init__(max_latents=max_latents)
        self.ever_committed: set[int] = set()

    def commit(self, latents: range) -> None:
        super().commit(latents)
        self.ever_committed.update(latents)

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        if layer not in self.pages[latents.start] or latents.start in self.ever_committed:
            super().write(layer, latents, fields)


class DraftsFirst(ToyCache):
    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        latents = sorted((latent for span in ranges for latent in span), key=lambda x: (x in self.committed, x))
        return super().segments(layer, [range(latent, latent + 1) for latent in latents])


class FillsGaps(ToyCache):
    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        latents = [x for x in sorted(self.pages) if ranges[0].start <= x < ranges[-1].stop]
        return super().segments(layer, [range(latent, latent + 1) for latent in latents])


class LosesWhatFollowsHoles(ToyCache):
    def drop(self, latents: Sequence[int]) -> None:
        following = [x for x in self.pages if latents and x > min(latents)]
        before = [x for x in self.pages if latents and x < min(latents)]
        super().drop(latents)
        if before:
            for latent in set(following) & self.committed:
                for page in self.pages[latent].values():
                    page["k"] += 1.0


class ReservesBeforeRefusing(ToyCache):
    def reserve(self, latents: Sequence[int]) -> None:
        if self.max_latents is not None and len(self.pages) + len(latents) > self.max_latents:
            self.pages[latents[0]] = {}
        super().reserve(latents)


class NeverGivesRoomBack(ToyCache):
    num_ever = 0

    def reserve(self, latents: Sequence[int]) -> None:
        if self.max_latents is not None and self.num_ever + len(latents) > 2 * self.max_latents:
            raise MemoryError
        super().reserve(latents)
        self.num_ever += len(latents)


class DropsPagesAlone(ToyCache):
    def drop(self, latents: Sequence[int]) -> None:
        super().drop([latent for latent in latents if latent in self.committed])


class CountsWhatIsGone(ToyCache):
    num_gone = 0

    def drop(self, latents: Sequence[int]) -> None:
        self.num_gone += 100 * len(latents)
        super().drop(latents)

    @property
    def num_bytes(self) -> int:
        return super().num_bytes + self.num_gone


class CountsHalf(ToyCache):
    @property
    def num_bytes(self) -> int:
        return super().num_bytes // 2


class KeepsMemory(ToyCache):
    def close(self) -> None:
        pass


class Pooled(ToyCache):
    """Caches write into one another's pages."""

    others: list[ToyCache] = []  # noqa: RUF012 (shared on purpose)

    def __init__(self, *, max_latents: int | None) -> None:
        super().__init__(max_latents=max_latents)
        self.others.append(self)

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        super().write(layer, latents, fields)
        for other in self.others:
            for latent in other.pages.keys() & set(latents):
                other.pages[latent][layer] = self.pages[latent][layer]

    def close(self) -> None:
        super().close()
        self.others.clear()

    def fork(self) -> ToyCache:
        fork = ToyCache(max_latents=self.max_latents)
        fork.pages, fork.committed = {x: dict(self.pages[x]) for x in self.committed}, set(self.committed)
        return fork


class ForkIsTheSame(ToyCache):
    def fork(self) -> ToyCache:
        return self


BROKEN: dict[str, type[ToyCache]] = {
    "test_a_new_cache_is_empty": NeverEmpty,
    "test_a_latent_is_reserved_until_it_is_committed": CommitsWhenWritten,
    "test_an_uncommitted_page_is_a_draft_again": UncommitForgets,
    "test_the_draft_that_was_written_last_is_read": KeepsFirstDraft,
    "test_pages_and_drafts_are_read_as_one_run_of_tokens": DraftsFirst,
    "test_only_the_ranges_that_are_asked_for_are_read": FillsGaps,
    "test_pages_survive_any_history_of_blocks_and_drops": LosesWhatFollowsHoles,
    "test_a_refused_reservation_changes_nothing": ReservesBeforeRefusing,
    "test_the_room_of_what_is_dropped_is_used_again": NeverGivesRoomBack,
    "test_a_reservation_can_be_given_up": DropsPagesAlone,
    "test_a_window_takes_no_more_memory_however_long_the_world_lives": CountsWhatIsGone,
    "test_the_bytes_of_the_pages_are_counted": CountsHalf,
    "test_a_closed_cache_keeps_no_memory": KeepsMemory,
    "test_worlds_share_nothing": Pooled,
    "test_a_fork_goes_its_own_way_or_is_refused": ForkIsTheSame,
}


class TestToyStore(KVStoreSuite):
    provides = frozenset({"fork"})

    def store(self, *, layout: KVLayout, capacity: int | None) -> ToyStore:
        return ToyStore()

    def small_store(self, *, layout: KVLayout, num_latents: int) -> ToyStore:
        return ToyStore(max_latents=num_latents)


@pytest.mark.parametrize("name", rules_of(KVStoreSuite))
def test_the_store_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    assert broken_rules(suite_of(BROKEN[name]), tmp_path) == [name]


def test_a_fork_that_was_not_declared_fails(tmp_path: Path) -> None:
    undeclared = suite_of(ToyCache, provides=frozenset())
    assert broken_rules(undeclared, tmp_path) == ["test_a_fork_goes_its_own_way_or_is_refused"]
