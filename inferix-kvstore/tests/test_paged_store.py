from __future__ import annotations

import gc
import time

import pytest
import torch
from inferix_core.errors import CapacityError
from inferix_core.plan import FieldShape, KVLayout
from inferix_kvstore.stores.configuration import PagedConfig
from inferix_kvstore.stores.paged import PagedCache, PagedStore

LAYOUT = KVLayout(num_layers=2, tokens_per_latent=2, fields={"k": FieldShape((1,)), "v": FieldShape((3,))})
PAGE_BYTES = 2 * 2 * (1 + 3) * 4


def make_store(*, layout: KVLayout = LAYOUT, capacity: int | None = None, **config: int) -> PagedStore:
    return PagedStore(
        PagedConfig(**config), layout=layout, capacity=capacity, device=torch.device("cpu"), dtype=torch.float32
    )


def add(cache: PagedCache, latents: range, *, shift: float = 0.0, layout: KVLayout = LAYOUT) -> None:
    cache.reserve(latents)
    rows = torch.tensor([latent + shift for latent in latents]).repeat_interleave(2).view(-1, 1)
    for layer in range(layout.num_layers):
        cache.write(layer, latents, {"k": rows, "v": rows.expand(-1, 3)})
    cache.commit(latents)


def read(cache: PagedCache) -> list[float]:
    parts = cache.segments(1, [range(latent, latent + 1) for latent in cache.held])
    return torch.cat([part["v"][0, ::2, 0] for part in parts]).tolist()


def slide(cache: PagedCache, start: int, *, num_window_latents: int) -> None:
    """A block of three latents at the end of a window."""
    cache.drop([latent for latent in cache.held if latent < start + 3 - num_window_latents])
    add(cache, range(start, start + 3))


def test_a_fork_of_a_long_window_of_many_layers_takes_no_time_and_no_memory() -> None:
    layout = KVLayout(num_layers=30, tokens_per_latent=2, fields={"k": FieldShape((1,)), "v": FieldShape((3,))})
    store = make_store(layout=layout, capacity=21)
    cache = store.create()
    add(cache, range(21), layout=layout)
    before = (store.num_bytes, store.num_reserved_bytes)
    began = time.perf_counter()
    fork = cache.fork()
    seconds = time.perf_counter() - began
    assert seconds < 0.05
    assert (store.num_bytes, store.num_reserved_bytes) == before
    assert (fork.held, fork.num_bytes) == (cache.held, cache.num_bytes)


def test_eight_children_hold_what_they_share_once_and_each_its_own() -> None:
    store = make_store()
    cache = store.create()
    add(cache, range(21))
    children = [cache.fork() for _ in range(8)]
    for start in range(21, 30, 3):
        for place, child in enumerate(children):
            add(child, range(start, start + 3), shift=place / 8)
    assert store.num_bytes == (21 + 8 * 9) * PAGE_BYTES
    assert [child.num_bytes for child in children] == 8 * [30 * PAGE_BYTES]
    for place, child in enumerate(children):
        assert read(child) == [*range(21), *(latent + place / 8 for latent in range(21, 30))]


def test_a_shared_page_lives_until_the_last_has_dropped_it() -> None:
    store = make_store()
    cache = store.create()
    add(cache, range(4))
    fork = cache.fork()
    cache.drop([0, 1])
    assert (cache.num_bytes, store.num_bytes) == (2 * PAGE_BYTES, 4 * PAGE_BYTES)
    fork.drop([0, 2])
    assert store.num_bytes == 3 * PAGE_BYTES
    assert read(cache) == [2.0, 3.0]
    fork.close()
    assert cache.num_bytes == store.num_bytes == 2 * PAGE_BYTES


def test_a_full_pool_says_what_to_do_and_changes_nothing_in_any_world() -> None:
    store = make_store(max_latents=10, num_latents_per_chunk=4)
    one, other = store.create(), store.create()
    add(one, range(4))
    add(other, range(4), shift=100.0)
    before = (store.num_bytes, store.num_reserved_bytes)
    with pytest.raises(
        CapacityError, match=r"3 more latents was asked for; 8 are in use .* kv.store.max_latents is 10\. Close worlds"
    ):
        one.reserve(range(4, 7))
    assert (store.num_bytes, store.num_reserved_bytes) == before
    assert (one.reserved, other.reserved) == ((), ())
    assert (read(one), read(other)) == ([0, 1, 2, 3], [100, 101, 102, 103])


def test_a_world_that_was_refused_goes_on_when_another_is_closed() -> None:
    store = make_store(max_latents=6)
    one, other = store.create(), store.create()
    add(one, range(4))
    add(other, range(2))
    with pytest.raises(CapacityError):
        one.reserve(range(4, 6))
    other.close()
    add(one, range(4, 6))
    assert read(one) == [0, 1, 2, 3, 4, 5]


def test_freed_pages_are_used_again_whichever_worlds_they_were_of() -> None:
    store = make_store(num_latents_per_chunk=5)
    worlds = [store.create() for _ in range(4)]
    for start in range(0, 9, 3):
        for world in worlds:
            slide(world, start, num_window_latents=9)
    size = store.num_reserved_bytes
    for start in range(9, 150, 3):
        for world in worlds:
            slide(world, start, num_window_latents=9)
        worlds[0].close()
        worlds = [*worlds[1:], store.create()]
        for latent in range(0, 9, 3):
            add(worlds[-1], range(start + latent - 6, start + latent - 3))
    assert store.num_reserved_bytes <= size


def test_what_is_read_are_views_of_the_pool() -> None:
    cache = make_store(num_latents_per_chunk=8).create()
    add(cache, range(6))
    (segment,) = cache.segments(1, [range(1, 3), range(3, 5)])
    (again,) = cache.segments(1, [range(6)])
    assert segment["k"]._base is again["k"]._base
    assert segment["k"].data_ptr() == again["k"].data_ptr() + 2 * 4
    assert segment["k"].untyped_storage().nbytes() == 2 * 8 * 2 * 4


def test_the_window_of_a_single_world_mostly_is_one_view_and_never_more_than_two() -> None:
    cache = make_store(capacity=21).create()
    num_views = []
    for start in range(0, 600, 3):
        slide(cache, start, num_window_latents=21)
        num_views.append(len(cache.segments(0, [range(latent, latent + 1) for latent in cache.held])))
    assert max(num_views) == 2
    assert num_views.count(1) / len(num_views) > 0.55


def test_pages_never_move() -> None:
    cache = make_store(num_latents_per_chunk=4).create()
    places: dict[int, int] = {}
    for start in range(0, 300, 3):
        slide(cache, start, num_window_latents=9)
        for latent in cache.held:
            place = cache.segments(0, [range(latent, latent + 1)])[0]["k"].data_ptr()
            assert places.setdefault(latent, place) == place


def test_a_world_that_is_forgotten_gives_back_what_it_does_not_share() -> None:
    store = make_store(max_latents=8)
    parent = store.create()
    add(parent, range(4))
    forgotten = parent.fork()
    add(forgotten, range(4, 8))
    forgotten.itself = forgotten  # type: ignore[attr-defined]
    del forgotten
    gc.collect()
    assert parent.num_bytes == store.num_bytes == 4 * PAGE_BYTES
    add(parent, range(4, 8), shift=0.5)
    assert store.num_bytes == 8 * PAGE_BYTES
    assert read(parent) == [0, 1, 2, 3, 4.5, 5.5, 6.5, 7.5]


def test_a_shared_page_that_cannot_be_copied_stays_committed() -> None:
    cache = make_store(max_latents=2).create()
    add(cache, range(2))
    fork = cache.fork()
    with pytest.raises(CapacityError):
        fork.uncommit(range(1, 2))
    assert (fork.held, fork.reserved, read(fork)) == ((0, 1), (), [0, 1])
