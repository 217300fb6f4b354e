"""The stores keep the rules of their kind, with chunks and tiers so small that every block crosses them."""

from __future__ import annotations

import torch
from inferix_core.plan import KVLayout
from inferix_core.testing.suites import KVStoreSuite, provided_by
from inferix_kvstore import plugin
from inferix_kvstore.stores.configuration import OffloadConfig, PagedConfig, RingConfig
from inferix_kvstore.stores.offload import OffloadStore
from inferix_kvstore.stores.paged import PagedStore
from inferix_kvstore.stores.ring import RingStore

CPU = torch.device("cpu")


class TestRing(KVStoreSuite):
    provides = provided_by(plugin, "ring")

    def store(self, *, layout: KVLayout, capacity: int | None) -> RingStore:
        return RingStore(RingConfig(), layout=layout, capacity=capacity, device=CPU, dtype=torch.float32)

    def small_store(self, *, layout: KVLayout, num_latents: int) -> RingStore:
        return self.store(layout=layout, capacity=num_latents)


class TestPaged(KVStoreSuite):
    provides = provided_by(plugin, "paged")
    num_latents_per_chunk: int | None = None

    def store(self, *, layout: KVLayout, capacity: int | None, max_latents: int | None = None) -> PagedStore:
        config = PagedConfig(max_latents=max_latents, num_latents_per_chunk=self.num_latents_per_chunk)
        return PagedStore(config, layout=layout, capacity=capacity, device=CPU, dtype=torch.float32)

    def small_store(self, *, layout: KVLayout, num_latents: int) -> PagedStore:
        return self.store(layout=layout, capacity=None, max_latents=num_latents)


class TestPagedInChunksOfOneLatent(TestPaged):
    num_latents_per_chunk = 1


class TestPagedInChunksOfTwoLatents(TestPaged):
    num_latents_per_chunk = 2


class TestOffload(KVStoreSuite):
    provides = provided_by(plugin, "offload")
    num_device_latents = 1

    def store(self, *, layout: KVLayout, capacity: int | None) -> OffloadStore:
        return offload(OffloadConfig(num_device_latents=self.num_device_latents, num_latents_per_chunk=2), layout)

    def small_store(self, *, layout: KVLayout, num_latents: int) -> OffloadStore:
        return offload(OffloadConfig(num_device_latents=num_latents - 1, max_latents=num_latents), layout)


class TestOffloadOfMore(TestOffload):
    num_device_latents = 4


def offload(config: OffloadConfig, layout: KVLayout) -> OffloadStore:
    return OffloadStore(config, layout=layout, capacity=None, device=CPU, dtype=torch.float32)
