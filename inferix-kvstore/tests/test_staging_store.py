"""Host pages on their way through buffers, with copiers that are as early or as late as a device may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites import KVStoreSuite, provided_by
from inferix_kvstore import plugin
from inferix_kvstore.stores.configuration import OffloadConfig
from inferix_kvstore.stores.offload import OffloadStore
from inferix_kvstore.stores.pool import Page, PagePool, write
from inferix_kvstore.stores.staging import Copier, Staging

CPU = torch.device("cpu")
LAYOUT = KVLayout(num_layers=4, tokens_per_latent=2, fields={"k": FieldShape((1,))})
PAGE_BYTES = 2 * 4


class EagerCopier:
    """Copies at once, as a device without other work would."""

    def __init__(self) -> None:
        self.num_started = 0

    def adopt(self, tensor: torch.Tensor) -> None:
        pass

    def start(self, copy: Callable[[], None]) -> EagerCopier:
        self.num_started += 1
        copy()
        return self

    def wait(self) -> None:
        pass


class LateCopier:
    """Copies when somebody waits for it and not before, in the order in which the copies were started."""

    def __init__(self) -> None:
        self.started: list[LateArrival] = []

    def adopt(self, tensor: torch.Tensor) -> None:
        pass

    def start(self, copy: Callable[[], None]) -> LateArrival:
        self.started.append(LateArrival(self, copy))
        return self.started[-1]


class LateArrival:
    def __init__(self, copier: LateCopier, copy: Callable[[], None]) -> None:
        self.copier = copier
        self.copy = copy

    def wait(self) -> None:
        while self in self.copier.started:
            self.copier.started.pop(0).copy()


def offload(config: OffloadConfig, layout: KVLayout, copier: Copier) -> OffloadStore:
    return OffloadStore(config, layout=layout, capacity=None, device=CPU, dtype=torch.float32, copier=copier)


class TestOffloadThroughEarlyBuffers(KVStoreSuite):
    provides = provided_by(plugin, "offload")
    copier: type[Copier] = EagerCopier

    def store(self, *, layout: KVLayout, capacity: int | None) -> OffloadStore:
        return offload(OffloadConfig(num_device_latents=1, num_latents_per_chunk=2), layout, self.copier())

    def small_store(self, *, layout: KVLayout, num_latents: int) -> OffloadStore:
        config = OffloadConfig(num_device_latents=num_latents - 1, max_latents=num_latents)
        return offload(config, layout, self.copier())


class TestOffloadThroughLateBuffers(TestOffloadThroughEarlyBuffers):
    copier = LateCopier


def host_pages(*, shift: float = 0.0) -> list[Page]:
    pool = PagePool(LAYOUT, max_pages=None, num_pages_per_chunk=2, setting="", device=CPU, dtype=torch.float32)
    pages = pool.allocate(5)
    rewrite(pages, shift=shift)
    return pages


def rewrite(pages: list[Page], *, shift: float) -> None:
    for layer in range(LAYOUT.num_layers):
        write(layer, pages, {"k": content(layer, len(pages)) + shift})


def content(layer: int, num_pages: int) -> torch.Tensor:
    return 100.0 * layer + torch.arange(2.0 * num_pages).view(-1, 1)


def staged(copier: Copier) -> Staging:
    return Staging(LAYOUT, device=CPU, dtype=torch.float32, copier=copier)


def fetched(staging: Staging, layer: int, pages: list[Page]) -> torch.Tensor:
    return staging.fetch(layer, pages).segment(0, range(len(pages)))["k"][0]


@pytest.mark.parametrize("copier", [EagerCopier, LateCopier])
def test_every_layer_of_every_pass_is_read_right_and_stays_until_the_next_is_asked_for(copier: type[Copier]) -> None:
    staging, pages = staged(copier()), host_pages()
    for layer in [*range(4), *range(4), 2, 2, 0, 3]:
        assert torch.equal(fetched(staging, layer, pages), content(layer, 5))


def test_the_next_layer_is_sent_for_before_it_is_asked_for_and_the_first_after_the_last() -> None:
    staging, pages = staged(EagerCopier()), host_pages()
    for layer in range(4):
        fetched(staging, layer, pages)
        rewrite(pages, shift=-1.0)
        assert torch.equal(fetched(staging, (layer + 1) % 4, pages), content((layer + 1) % 4, 5)), "it was there"
        rewrite(pages, shift=0.0)
        staging.close()


def test_a_pass_over_the_same_pages_copies_every_layer_once() -> None:
    copier, pages = EagerCopier(), host_pages()
    staging = staged(copier)
    for layer in [*range(4), *range(4), *range(4)]:
        fetched(staging, layer, pages)
    assert copier.num_started == 12 + 1, "and what the next pass begins with"


def test_other_pages_are_fetched_anew_and_nothing_is_sent_for_in_vain() -> None:
    copier, pages = EagerCopier(), host_pages()
    staging = staged(copier)
    fetched(staging, 0, pages)
    before = copier.num_started
    for layer in range(1, 4):
        assert torch.equal(fetched(staging, layer, pages[:2]), content(layer, 5)[:4])
        assert torch.equal(fetched(staging, layer, pages[3:]), content(layer, 5)[6:])
    assert copier.num_started == before + 6


def test_the_buffers_are_two_and_as_large_as_what_was_asked_for_of_one_layer() -> None:
    staging, pages = staged(EagerCopier()), host_pages()
    for layer in range(4):
        fetched(staging, layer, pages)
    assert staging.num_bytes == 2 * 5 * PAGE_BYTES
    fetched(staging, 0, pages[:2])
    assert staging.num_bytes == 2 * 5 * PAGE_BYTES, "room is used again"
    staging.close()
    assert staging.num_bytes == 0


def test_the_bytes_of_the_buffers_are_those_of_the_store_until_the_cache_is_closed() -> None:
    store = offload(OffloadConfig(num_device_latents=1), LAYOUT, EagerCopier())
    cache = store.create()
    for latent in range(4):
        cache.reserve([latent])
        for layer in range(4):
            cache.write(layer, range(latent, latent + 1), {"k": torch.zeros(2, 1)})
        cache.commit(range(latent, latent + 1))
    before = store.num_bytes
    cache.segments(0, [range(4)])
    assert store.num_bytes == cache.num_bytes == before + 2 * 2 * PAGE_BYTES
    cache.close()
    assert store.num_bytes == 0
