"""The plain components keep the rules of their kinds."""

import torch
from inferix_core import plugin
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import KVLayout
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import AttentionSuite, KVStoreSuite, provided_by


def dense(layout: KVLayout, *, capacity: int | None = None, max_latents: int | None = None) -> DenseStore:
    config = DenseConfig(max_latents=max_latents)
    return DenseStore(config, layout=layout, capacity=capacity, device=torch.device("cpu"), dtype=torch.float32)


class TestDenseStore(KVStoreSuite):
    provides = provided_by(plugin, "dense")

    def store(self, *, layout: KVLayout, capacity: int | None) -> DenseStore:
        return dense(layout, capacity=capacity)

    def small_store(self, *, layout: KVLayout, num_latents: int) -> DenseStore:
        return dense(layout, max_latents=num_latents)


class TestSdpa(AttentionSuite):
    provides = provided_by(plugin, "sdpa")

    def backend(self) -> SdpaBackend:
        return SdpaBackend(ComponentConfig())


class TestSdpaInHalfPrecision(TestSdpa):
    dtype = torch.bfloat16
    tolerance = 0.03
