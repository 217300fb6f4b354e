"""Every rule of the store suite is broken by one store that keeps all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from inferix_core.contracts.attention import Segment
from inferix_core.errors import CapacityError, ConfigError
from inferix_core.plan import KVLayout
from inferix_core.testing.suites import KVStoreSuite, broken_rules, rules_of
from inferix_core.testing.toy_store import Page, ToyCache, ToyStore
from torch import Tensor


def suite_of(
    cache: type[ToyCache] = ToyCache,
    *,
    store: type[ToyStore] = ToyStore,
    provides: frozenset[str] = frozenset({"fork", "shared-pages"}),
) -> KVStoreSuite:
    class Store(store):
        cache_type = cache

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


class UncommitDoesNothing(ToyCache):
    def uncommit(self, latents: range) -> None:
        pass


class KeepsFirstDraft(ToyCache):
    def __init__(self, store: ToyStore) -> None:
        super().__init__(store)
        self.ever_committed: set[int] = set()

    def commit(self, latents: range) -> None:
        super().commit(latents)
        self.ever_committed.update(latents)

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        if layer not in self.pages[latents.start] or latents.start in self.ever_committed:
            super().write(layer, latents, fields)

    def fork(self) -> ToyCache:
        fork = super().fork()
        fork.ever_committed = set(self.committed)
        return fork


class DraftsFirst(ToyCache):
    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        latents = sorted((latent for span in ranges for latent in span), key=lambda x: (x in self.committed, x))
        return super().segments(layer, [range(latent, latent + 1) for latent in latents])


class FillsGaps(ToyCache):
    """Reads a latent that is missing between two as well."""

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        latents = [latent for span in ranges for latent in span]
        latents += [latent + 1 for latent in latents if latent + 1 in self.pages and latent + 2 in latents]
        return super().segments(layer, [range(latent, latent + 1) for latent in sorted(set(latents))])


class LosesWhatFollowsHoles(ToyCache):
    num_holes = 0

    def drop(self, latents: Sequence[int]) -> None:
        following = [x for x in self.pages if latents and x > min(latents)]
        self.num_holes += any(x < min(latents) for x in self.pages if latents)
        super().drop(latents)
        if self.num_holes > 1:
            for latent in set(following) & self.committed:
                for page in self.pages[latent].values():
                    page["k"] += 1.0


class ReservesBeforeRefusing(ToyCache):
    def reserve(self, latents: Sequence[int]) -> None:
        most = self.store.max_latents
        if most is not None and len(self.pages) + len(latents) > most:
            self.pages[latents[0]] = {}
        super().reserve(latents)


class NeverGivesRoomBack(ToyCache):
    num_ever = 0

    def reserve(self, latents: Sequence[int]) -> None:
        most = self.store.max_latents
        if most is not None and self.num_ever + len(latents) > 2 * most:
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


class CountsWhenClosed(ToyCache):
    num_closed_bytes = 0

    def close(self) -> None:
        self.num_closed_bytes = self.num_bytes
        super().close()

    @property
    def num_bytes(self) -> int:
        return super().num_bytes + self.num_closed_bytes


class ShortRangesLast(ToyCache):
    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        return super().segments(layer, sorted(ranges, key=len, reverse=True))


class TakesRowsForTokens(ToyCache):
    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        tokens = 3 * len(latents)
        super().write(layer, latents, {name: torch.cat([rows, rows])[:tokens] for name, rows in fields.items()})


class EndsUnannounced(ToyCache):
    def reserve(self, latents: Sequence[int]) -> None:
        if len(self.pages) + len(latents) > 50:
            raise CapacityError("There is a bound after all.")
        super().reserve(latents)


class ClosesOnce(ToyCache):
    is_closed = False

    def close(self) -> None:
        if self.is_closed:
            self.store.caches.clear()
            raise ValueError("closed already")
        self.is_closed = True
        super().close()


class CountsLastWorld(ToyStore):
    def create(self) -> ToyCache:
        self.caches.clear()
        return super().create()


class KeepsPagesWhenClosed(ToyCache):
    is_closed = False

    def close(self) -> None:
        self.is_closed = True

    @property
    def num_bytes(self) -> int:
        return 0 if self.is_closed else super().num_bytes


class ForgetsWhatItTook(ToyStore):
    @property
    def num_reserved_bytes(self) -> int:
        return 0


class KeepsEveryCache(ToyStore):
    def __init__(self, *, max_latents: int | None = None) -> None:
        super().__init__(max_latents=max_latents)
        self.every: list[ToyCache] = []

    def create(self) -> ToyCache:
        self.every.append(super().create())
        return self.every[-1]


class Pooled(ToyCache):
    """Caches write into the pages of worlds that were made by themselves."""

    is_fork = False

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        super().write(layer, latents, fields)
        for other in self.store.caches:
            for latent in other.pages.keys() & set(latents):
                if not (self.is_fork or other.is_fork):
                    other.pages[latent][layer] = deepcopy(self.pages[latent][layer])

    def fork(self) -> ToyCache:
        fork = super().fork()
        fork.is_fork = True
        return fork


class WritesReachForks(ToyCache):
    """What a world writes, its forks get where they have made a page of the same latent."""

    def __init__(self, store: ToyStore) -> None:
        super().__init__(store)
        self.forks: list[tuple[ToyCache, frozenset[int]]] = []

    def fork(self) -> ToyCache:
        self.forks.append((super().fork(), frozenset(self.committed)))
        return self.forks[-1][0]

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        super().write(layer, latents, fields)
        for fork, inherited in self.forks:
            for latent in (fork.pages.keys() - inherited) & set(latents):
                fork.pages[latent][layer] = self.pages[latent][layer]


class ForkTakesReservations(ToyCache):
    def fork(self) -> ToyCache:
        fork = super().fork()
        fork.pages |= {latent: dict(self.pages[latent]) for latent in self.reserved}
        return fork


class ForkSharesDrafts(ToyCache):
    """What a fork writes goes to the drafts of its parent as well."""

    drafts: Mapping[int, dict[int, Page]] = {}

    def fork(self) -> ToyCache:
        fork = super().fork()
        fork.drafts = {latent: self.pages[latent] for latent in self.reserved}
        return fork

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        super().write(layer, latents, fields)
        for latent in self.drafts.keys() & set(latents):
            self.drafts[latent][layer] = self.pages[latent][layer]


class WritesInPlace(ToyCache):
    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        before = {latent: self.pages[latent].get(layer) for latent in latents}
        super().write(layer, latents, fields)
        for latent, page in before.items():
            for name, rows in (page or {}).items():
                rows.copy_(self.pages[latent][layer][name])
            self.pages[latent][layer] = page or self.pages[latent][layer]


class ForkOf(ToyCache):
    parent: ToyCache | None = None

    def fork(self) -> ToyCache:
        fork = super().fork()
        fork.parent = self
        return fork


class DropsReachTheParent(ForkOf):
    def drop(self, latents: Sequence[int]) -> None:
        super().drop(latents)
        if self.parent is not None:
            self.parent.drop(latents)


class ClosesTheParent(ForkOf):
    def close(self) -> None:
        super().close()
        if self.parent is not None:
            self.parent.close()


class ForkCopies(ToyCache):
    def fork(self) -> ToyCache:
        fork = super().fork()
        fork.pages = deepcopy(fork.pages)
        return fork


BROKEN: dict[str, KVStoreSuite] = {
    "test_a_new_cache_is_empty": suite_of(NeverEmpty),
    "test_a_latent_is_reserved_until_it_is_committed": suite_of(CommitsWhenWritten),
    "test_an_uncommitted_page_is_a_draft_again": suite_of(UncommitDoesNothing),
    "test_the_draft_that_was_written_last_is_read": suite_of(KeepsFirstDraft),
    "test_pages_and_drafts_are_read_as_one_run_of_tokens": suite_of(DraftsFirst),
    "test_only_the_ranges_that_are_asked_for_are_read": suite_of(FillsGaps),
    "test_latents_come_in_ascending_order_however_many_ranges_are_asked_for": suite_of(ShortRangesLast),
    "test_fields_with_rows_of_their_own_come_back": suite_of(TakesRowsForTokens),
    "test_pages_survive_any_history_of_blocks_and_drops": suite_of(LosesWhatFollowsHoles),
    "test_a_refused_reservation_changes_nothing": suite_of(ReservesBeforeRefusing),
    "test_the_room_of_what_is_dropped_is_used_again": suite_of(NeverGivesRoomBack),
    "test_a_reservation_can_be_given_up": suite_of(DropsPagesAlone),
    "test_a_window_takes_no_more_memory_however_long_the_world_lives": suite_of(CountsWhatIsGone),
    "test_a_store_without_a_bound_works_or_is_refused_when_it_is_built": suite_of(EndsUnannounced),
    "test_the_bytes_of_the_pages_are_counted": suite_of(CountsHalf),
    "test_a_closed_cache_keeps_no_memory": suite_of(CountsWhenClosed),
    "test_closing_twice_is_harmless": suite_of(ClosesOnce),
    "test_the_bytes_of_a_store_are_those_of_all_its_caches": suite_of(store=CountsLastWorld),
    "test_a_store_has_taken_at_least_what_its_caches_use": suite_of(store=ForgetsWhatItTook),
    "test_a_store_keeps_no_bytes_once_all_its_caches_are_closed": suite_of(KeepsPagesWhenClosed),
    "test_a_cache_that_is_let_go_without_being_closed_keeps_no_memory": suite_of(store=KeepsEveryCache),
    "test_worlds_share_nothing": suite_of(Pooled),
    "test_a_fork_goes_its_own_way_or_is_refused": suite_of(WritesReachForks),
    "test_a_fork_has_no_drafts_and_no_reservations": suite_of(ForkTakesReservations),
    "test_what_a_fork_writes_does_not_reach_the_drafts_of_its_parent": suite_of(ForkSharesDrafts),
    "test_a_page_that_is_uncommitted_and_rewritten_stays_as_it_was_in_the_other_cache": suite_of(WritesInPlace),
    "test_what_a_fork_drops_stays_in_its_parent_and_the_reverse": suite_of(DropsReachTheParent),
    "test_closing_a_fork_gives_back_nothing_of_its_parent_and_the_reverse": suite_of(ClosesTheParent),
    "test_forks_keep_what_they_have_in_common_once_where_that_is_declared": suite_of(ForkCopies),
}


class TestToyStore(KVStoreSuite):
    provides = frozenset({"fork", "shared-pages"})

    def store(self, *, layout: KVLayout, capacity: int | None) -> ToyStore:
        return ToyStore()

    def small_store(self, *, layout: KVLayout, num_latents: int) -> ToyStore:
        return ToyStore(max_latents=num_latents)


class TestToyStoreThatNeedsACapacity(TestToyStore):
    provides = frozenset({"fork", "shared-pages", "bounded"})

    def store(self, *, layout: KVLayout, capacity: int | None) -> ToyStore:
        if capacity is None:
            raise ConfigError("This store needs a bound.")
        return ToyStore()


@pytest.mark.parametrize("name", rules_of(KVStoreSuite))
def test_the_store_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    assert broken_rules(BROKEN[name], tmp_path) == [name]


def test_a_fork_that_was_not_declared_fails(tmp_path: Path) -> None:
    undeclared = suite_of(provides=frozenset())
    assert broken_rules(undeclared, tmp_path) == ["test_a_fork_goes_its_own_way_or_is_refused"]


def test_pages_that_are_shared_and_not_declared_fail(tmp_path: Path) -> None:
    undeclared = suite_of(provides=frozenset({"fork"}))
    assert broken_rules(undeclared, tmp_path) == [
        "test_forks_keep_what_they_have_in_common_once_where_that_is_declared"
    ]


def test_a_store_that_needs_a_capacity_and_does_not_say_so_when_built_fails(tmp_path: Path) -> None:
    careless = suite_of(provides=frozenset({"fork", "shared-pages", "bounded"}))
    assert broken_rules(careless, tmp_path) == ["test_a_store_without_a_bound_works_or_is_refused_when_it_is_built"]
