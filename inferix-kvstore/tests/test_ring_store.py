import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.errors import CapacityError, ConfigError
from inferix_core.plan import FieldShape, KVLayout
from inferix_kvstore.stores.configuration import RingConfig
from inferix_kvstore.stores.ring import RingCache, RingStore

LAYOUT = KVLayout(num_layers=2, tokens_per_latent=2, fields={"k": FieldShape((1,)), "v": FieldShape((3,))})
SLOT_BYTES = 2 * 2 * (1 + 3) * 4


def make_store(*, capacity: int | None) -> RingStore:
    return RingStore(RingConfig(), layout=LAYOUT, capacity=capacity, device=torch.device("cpu"), dtype=torch.float32)


def add(cache: RingCache, latents: range) -> None:
    cache.reserve(latents)
    for layer in range(2):
        rows = torch.tensor([float(latent) for latent in latents]).repeat_interleave(2).view(-1, 1)
        cache.write(layer, latents, {"k": rows, "v": rows.expand(-1, 3)})
    cache.commit(latents)


def read(cache: RingCache) -> list[float]:
    parts = cache.segments(1, [range(latent, latent + 1) for latent in cache.held])
    return torch.cat([part["v"][0, ::2, 0] for part in parts]).tolist()


@pytest.mark.parametrize(("num_sink_latents", "most"), [(0, 2), (3, 3)])
@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_window_is_one_view_or_two_and_a_sink_one_more(num_sink_latents: int, most: int, lengths: list[int]) -> None:
    cache = make_store(capacity=num_sink_latents + 9).create()
    end = 0
    for length in lengths:
        block = range(end, end + length)
        cache.drop([latent for latent in cache.held if num_sink_latents <= latent < block.stop - 9])
        add(cache, block)
        end = block.stop
        assert len(cache.segments(0, [range(latent, latent + 1) for latent in cache.held])) <= most
        assert read(cache) == list(cache.held)


def test_a_window_that_does_not_wrap_is_one_view() -> None:
    cache = make_store(capacity=6).create()
    for start in range(0, 30, 6):
        cache.drop(cache.held)
        add(cache, range(start, start + 6))
        assert len(cache.segments(0, [range(start, start + 6)])) == 1


def test_no_page_is_ever_copied_or_moved() -> None:
    cache = make_store(capacity=9).create()
    places: dict[int, int] = {}
    bases = set()
    for start in range(0, 300, 3):
        cache.drop([latent for latent in cache.held if latent < start - 6])
        add(cache, range(start, start + 3))
        for latent in cache.held:
            (segment,) = cache.segments(0, [range(latent, latent + 1)])
            bases.add(id(segment["k"]._base))
            assert places.setdefault(latent, segment["k"].data_ptr()) == segment["k"].data_ptr()
    assert len(bases) == 1, "every segment is a view of the one slab"
    assert len(set(places.values())) == 9


def test_memory_is_that_of_the_capacity_from_the_first_block_on() -> None:
    cache = make_store(capacity=9).create()
    assert cache.num_bytes == 0
    add(cache, range(3))
    assert cache.num_bytes == 9 * SLOT_BYTES


def test_a_policy_without_a_bound_is_refused_when_the_store_is_built() -> None:
    with pytest.raises(ConfigError, match=r"sets no bound.*'window' or 'sink-window'"):
        make_store(capacity=None)


def test_a_full_ring_says_how_many_slots_are_taken_and_changes_nothing() -> None:
    cache = make_store(capacity=5).create()
    add(cache, range(4))
    with pytest.raises(CapacityError, match="2 more latents was asked for; 4 of the ring's 5 slots"):
        cache.reserve(range(4, 6))
    assert (cache.held, cache.reserved, read(cache)) == ((0, 1, 2, 3), (), [0, 1, 2, 3])
