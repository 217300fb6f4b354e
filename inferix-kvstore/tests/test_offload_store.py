from __future__ import annotations

import pytest
import torch
from inferix_core.errors import CapacityError
from inferix_core.plan import FieldShape, KVLayout
from inferix_kvstore.stores.configuration import OffloadConfig
from inferix_kvstore.stores.offload import OffloadCache, OffloadStore

LAYOUT = KVLayout(num_layers=3, tokens_per_latent=2, fields={"k": FieldShape((1,)), "v": FieldShape((3,))})
PAGE_BYTES = 3 * 2 * (1 + 3) * 4


def make_store(**config: int) -> OffloadStore:
    return OffloadStore(
        OffloadConfig(**config), layout=LAYOUT, capacity=None, device=torch.device("cpu"), dtype=torch.float32
    )


def add(cache: OffloadCache, latents: range, *, shift: float = 0.0) -> None:
    cache.reserve(latents)
    rows = torch.tensor([latent + shift for latent in latents]).repeat_interleave(2).view(-1, 1)
    for layer in range(LAYOUT.num_layers):
        cache.write(layer, latents, {"k": rows, "v": rows.expand(-1, 3)})
    cache.commit(latents)


def read(cache: OffloadCache) -> list[float]:
    parts = cache.segments(1, [range(latent, latent + 1) for latent in cache.held])
    return torch.cat([part["v"][0, ::2, 0] for part in parts]).tolist()


def test_the_device_holds_the_last_latents_and_the_drafts_and_the_host_the_rest() -> None:
    store = make_store(num_device_latents=4, num_latents_per_chunk=1)
    cache = store.create()
    for start in range(0, 30, 3):
        add(cache, range(start, start + 3))
    cache.reserve(range(30, 33))
    assert store.num_bytes == (4 + 3) * PAGE_BYTES
    assert store.num_reserved_bytes <= (4 + 3 + 1) * PAGE_BYTES, "the pool keeps one free chunk at most"
    assert store.num_host_bytes == (30 - 4) * PAGE_BYTES
    assert read(cache) == list(range(30))


def test_a_long_world_takes_no_more_of_the_device_than_a_bound_on_it_allows() -> None:
    store = make_store(num_device_latents=2, max_latents=5)
    cache = store.create()
    for start in range(0, 60, 3):
        add(cache, range(start, start + 3))
    assert store.num_reserved_bytes <= 5 * PAGE_BYTES
    assert read(cache) == list(range(60))


def test_what_a_policy_drops_is_given_back_in_both_tiers() -> None:
    store = make_store(num_device_latents=2)
    cache = store.create()
    for start in range(0, 12, 3):
        add(cache, range(start, start + 3))
    cache.drop([0, 1, 2, 10])
    assert read(cache) == [3, 4, 5, 6, 7, 8, 9, 11]
    assert store.num_bytes + store.num_host_bytes == 8 * PAGE_BYTES
    cache.close()
    assert (store.num_bytes, store.num_host_bytes) == (0, 0)


def test_forks_share_the_pages_of_both_tiers_also_those_that_move_later() -> None:
    store = make_store(num_device_latents=3)
    cache = store.create()
    for start in range(0, 9, 3):
        add(cache, range(start, start + 3))
    before = (store.num_bytes, store.num_host_bytes)
    forks = [cache.fork() for _ in range(4)]
    assert (store.num_bytes, store.num_host_bytes) == before
    for place, fork in enumerate(forks):
        add(fork, range(9, 12), shift=place / 8)
        add(fork, range(12, 15))
    assert store.num_host_bytes == 9 * PAGE_BYTES
    assert store.num_bytes == 4 * 6 * PAGE_BYTES
    add(cache, range(9, 12))
    assert read(cache) == list(range(12)), "also its last pages, which its forks have moved"
    for place, fork in enumerate(forks):
        assert read(fork) == [*range(9), *(latent + place / 8 for latent in range(9, 12)), 12, 13, 14]


def test_a_full_host_says_which_option_to_raise_and_moves_nothing() -> None:
    store = make_store(num_device_latents=1, max_host_latents=3)
    cache = store.create()
    add(cache, range(3))
    add(cache, range(3, 6))
    before = (store.num_bytes, store.num_host_bytes)
    with pytest.raises(CapacityError, match=r"kv\.store\.max_host_latents is 3"):
        cache.reserve(range(6, 9))
    assert (store.num_bytes, store.num_host_bytes) == before
    assert (cache.held, cache.reserved, read(cache)) == (tuple(range(6)), (), list(range(6)))


def test_a_page_of_the_host_is_a_draft_on_the_device_when_it_is_uncommitted() -> None:
    store = make_store(num_device_latents=1)
    cache = store.create()
    add(cache, range(3))
    add(cache, range(3, 4))
    cache.uncommit(range(2))
    assert (cache.held, cache.reserved) == ((2, 3), (0, 1))
    assert (store.num_bytes, store.num_host_bytes) == (4 * PAGE_BYTES, 0)
