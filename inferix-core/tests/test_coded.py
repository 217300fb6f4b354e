"""Pages that a codec keeps, in worlds."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.none import NoCodec
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.runtime.coded import CodedCache, CodedStore
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import KVStoreSuite
from inferix_core.testing.suites.kv_store import LAYOUT, add, content, reads, write
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyStore
from inferix_core.testing.toys import ToyModel, ToyStaggeredPlanner
from torch import Tensor


class Halves:
    """Rounds to halves, as int16; the mean of each field is kept apart, in one row."""

    def __init__(self, layout: KVLayout, *, sink: int = 0, recent: int = 0) -> None:
        self.num_exact_sink_latents, self.num_exact_recent_latents = sink, recent
        fields: dict[str, FieldShape] = {}
        for name, field in layout.fields.items():
            fields |= {f"{name}.halves": FieldShape(field.shape, "int16"), f"{name}.mean": FieldShape((), None, 1)}
        self.layout = KVLayout(layout.num_layers, layout.tokens_per_latent, fields)

    def encode(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        stored = {}
        for name, values in fields.items():
            mean = values.flatten(1).mean(1)
            stored[f"{name}.mean"] = mean.unsqueeze(1)
            stored[f"{name}.halves"] = ((values - mean.view(-1, *[1] * (values.dim() - 1))) * 2).round().short()
        return stored

    def decode(self, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = [name.removesuffix(".mean") for name in stored if name.endswith(".mean")]
        return {
            name: stored[f"{name}.halves"] / 2
            + stored[f"{name}.mean"].view(-1, *[1] * (stored[f"{name}.halves"].dim() - 1))
            for name in names
        }


def dense(layout: KVLayout, *, max_latents: int | None = None) -> DenseStore:
    config = DenseConfig(max_latents=max_latents)
    return DenseStore(config, layout=layout, capacity=None, device=torch.device("cpu"), dtype=torch.float32)


def coded(exact: DenseStore, encoded: DenseStore, layout: KVLayout, *, recent: int) -> CodedStore:
    codec = NoCodec(ComponentConfig(), layout=layout, dtype=torch.float32)
    codec.num_exact_recent_latents = recent
    return CodedStore(exact, encoded, codec, layout=layout)


def store(layout: KVLayout = LAYOUT, *, sink: int = 0, recent: int = 0) -> CodedStore:
    codec = Halves(layout, sink=sink, recent=recent)
    return CodedStore(dense(layout), dense(codec.layout), codec, layout=layout)


def engine(*, sink: int = 0, recent: int = 0, staggered: bool = False) -> Engine:
    model = ToyModel()
    changes = {"planner": ToyStaggeredPlanner()} if staggered else {}
    return toy_engine(model=model, store=store(model.layout, sink=sink, recent=recent), **changes)


def frames(world: World, num_blocks: int) -> Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


def held(cache: CodedCache) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(cache.exact.held), tuple(cache.encoded.held)


def test_pages_are_encoded_when_the_next_block_begins() -> None:
    cache = store().create()
    add(cache, range(2))
    assert held(cache) == ((0, 1), ())
    cache.reserve(range(2, 4))
    assert held(cache) == ((), (0, 1))
    assert (cache.held, cache.reserved) == ((0, 1), (2, 3))


def test_sink_and_recent_pages_stay_exact() -> None:
    cache = store(sink=1, recent=2).create()
    for start in range(0, 8, 2):
        add(cache, range(start, start + 2))
    assert held(cache) == ((0, 4, 5, 6, 7), (1, 2, 3))
    assert reads(cache, [0])
    assert reads(cache, [4, 5, 6, 7])


def test_what_is_read_is_in_ascending_order_whatever_the_tier() -> None:
    cache = store(sink=1, recent=2).create()
    for start in range(0, 8, 2):
        add(cache, range(start, start + 2))
    segments = cache.segments(1, [range(8)])
    for name in LAYOUT.fields:
        joined = torch.cat([segment[name] for segment in segments], dim=1)[0]
        assert torch.allclose(joined, content(list(range(8)), 1, name), atol=0.3)
    assert reads(cache, [0, 6]), "ranges may pick single latents of both tiers"


def test_a_step_that_fails_after_encoding_leaves_what_it_committed_free_to_be_made_again() -> None:
    cache = store().create()
    add(cache, range(2))
    cache.reserve(range(2, 4))
    cache.uncommit(range(2))
    assert cache.held == ()
    add(cache, range(2))
    assert cache.held == (0, 1)


def test_what_is_dropped_is_gone_from_both_tiers() -> None:
    cache = store().create()
    add(cache, range(2))
    add(cache, range(2, 4))
    write_room = cache.num_bytes
    cache.drop([0, 2])
    assert cache.held == (1, 3)
    cache.reserve(range(4, 6))
    write(cache, range(4, 6))
    assert reads(cache, [4, 5])
    assert cache.num_bytes >= write_room


def test_a_codec_changes_what_a_world_shows_a_little() -> None:
    plain, coded = frames(toy_engine().create_world("a"), 4), frames(engine().create_world("a"), 4)
    assert torch.equal(coded[:5], plain[:5]), "the first block reads no page"
    assert not torch.equal(coded, plain)


def test_with_all_pages_exact_a_codec_changes_nothing() -> None:
    exact = engine(recent=1000)
    assert torch.equal(frames(exact.create_world("a"), 5), frames(toy_engine().create_world("a"), 5))


@pytest.mark.parametrize("staggered", [False, True])
def test_forks_rewinds_and_failed_steps_are_exact_under_a_codec(staggered: bool) -> None:
    coded = engine(sink=1, recent=2, staggered=staggered)
    coded = Engine(coded.parts, coded.decoder, num_rewind_blocks=2)
    expected = frames(coded.create_world("a"), 7)
    world = coded.create_world("a")
    start = frames(world, 3)
    (child,) = world.fork()
    assert torch.equal(torch.cat([start, frames(child, 4)]), expected)
    frames(world, 2)
    world.rewind(3)

    def fail(*_: object) -> None:
        raise RuntimeError("the decoder fails")

    broken = replace(coded.parts)
    failing = Engine(broken, type("Failing", (), {"decode": fail})())
    with pytest.raises(RuntimeError):
        failing.step([failing.world_of(world.state)])
    assert torch.equal(torch.cat([start, frames(world, 4)]), expected)


class TestCodedStore(KVStoreSuite):
    """Under a codec that changes nothing, every rule of stores holds, whichever tier a page lies in."""

    provides = frozenset({"fork"})
    num_exact_recent_latents = 0

    def store(self, *, layout: KVLayout, capacity: int | None) -> CodedStore:
        return coded(dense(layout), dense(layout), layout, recent=self.num_exact_recent_latents)

    def small_store(self, *, layout: KVLayout, num_latents: int) -> CodedStore:
        """The bound is that of exact pages: none is encoded."""
        return coded(dense(layout, max_latents=num_latents), dense(layout), layout, recent=1000)


class TestCodedStoreWithRecentPages(TestCodedStore):
    num_exact_recent_latents = 2


def test_a_toy_store_can_hold_a_codecs_fields() -> None:
    codec = Halves(LAYOUT)
    cache = CodedStore(ToyStore(), ToyStore(), codec, layout=LAYOUT).create()
    add(cache, range(2))
    add(cache, range(2, 4))
    assert held(cache) == ((2, 3), (0, 1))
    assert cache.segments(0, [range(1)])[0]["k"].shape == (1, 3, 1, 2)
