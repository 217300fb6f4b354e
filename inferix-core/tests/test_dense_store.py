import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseCache, DenseStore
from inferix_core.errors import CapacityError
from inferix_core.plan import FieldShape, KVLayout

LAYOUT = KVLayout(num_layers=2, tokens_per_latent=3, fields={"k": FieldShape((1, 2)), "v": FieldShape((4,))})


def make_cache(*, capacity: int | None = None, **config: int) -> DenseCache:
    store = DenseStore(
        DenseConfig(**config), layout=LAYOUT, capacity=capacity, device=torch.device("cpu"), dtype=torch.float32
    )
    return store.create()


def page(latent: int, layer: int) -> dict[str, torch.Tensor]:
    value = 10.0 * latent + layer
    return {"k": torch.full((3, 1, 2), value), "v": torch.full((3, 4), -value)}


def add(cache: DenseCache, latents: range) -> None:
    cache.reserve(latents)
    for layer in range(LAYOUT.num_layers):
        pages = [page(latent, layer) for latent in latents]
        cache.write(layer, latents, {name: torch.cat([one[name] for one in pages]) for name in LAYOUT.fields})
    cache.commit(latents)


def check(cache: DenseCache, latents: list[int]) -> None:
    assert cache.held == tuple(latents)
    for layer in range(LAYOUT.num_layers):
        segments = cache.segments(layer, [range(latent, latent + 1) for latent in latents])
        assert len(segments) == min(1, len(latents)), "what is kept is one run"
        for name in LAYOUT.fields if latents else []:
            expected = torch.cat([page(latent, layer)[name] for latent in latents])
            assert torch.equal(segments[0][name][0], expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sets(st.integers(0, 8))), max_size=12), st.sampled_from([None, 5, 12]))
def test_pages_survive_any_history_of_blocks_and_drops(history: list[tuple[int, set[int]]], slots: int | None) -> None:
    cache = make_cache(capacity=slots, slack_latents=0)
    held: list[int] = []
    following = 0
    for num_latents, dropped in history:
        gone = [latent for index, latent in enumerate(held) if index in dropped]
        cache.drop(gone)
        held = [latent for latent in held if latent not in gone]
        add(cache, range(following, following + num_latents))
        held += range(following, following + num_latents)
        following += num_latents
        check(cache, held)


def test_a_window_never_grows_the_slab() -> None:
    cache = make_cache(capacity=6)
    add(cache, range(3))
    size = cache.num_bytes
    for start in range(3, 60, 3):
        cache.drop([latent for latent in cache.held if latent < start - 3])
        add(cache, range(start, start + 3))
    assert cache.num_bytes == size
    check(cache, [54, 55, 56, 57, 58, 59])


def test_reading_the_window_copies_nothing() -> None:
    cache = make_cache(capacity=6)
    add(cache, range(3))
    before = cache.segments(0, [range(3)])[0]["k"]
    cache.write(0, range(3), {name: torch.cat([page(7, 0)[name]] * 3) for name in LAYOUT.fields})
    assert torch.equal(before[0, 0], page(7, 0)["k"][0])


def test_a_refused_reservation_changes_nothing() -> None:
    cache = make_cache(max_latents=4)
    add(cache, range(3))
    with pytest.raises(CapacityError, match="2 more latents"):
        cache.reserve(range(3, 5))
    assert cache.reserved == ()
    check(cache, [0, 1, 2])


def test_drafts_are_reserved_until_committed_and_again_when_the_commit_is_taken_back() -> None:
    cache = make_cache()
    cache.reserve(range(2))
    assert (cache.held, cache.reserved) == ((), (0, 1))
    cache.commit(range(2))
    assert (cache.held, cache.reserved) == ((0, 1), ())
    cache.uncommit(range(2))
    assert (cache.held, cache.reserved) == ((), (0, 1))


def test_a_fork_goes_its_own_way() -> None:
    cache = make_cache(capacity=6)
    add(cache, range(2))
    fork = cache.fork()
    add(fork, range(2, 4))
    cache.drop([0])
    check(cache, [1])
    check(fork, [0, 1, 2, 3])
