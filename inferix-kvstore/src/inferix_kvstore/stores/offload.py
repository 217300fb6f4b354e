"""The store `offload`: a world's last pages lie on the device, older ones that are still wanted in host memory.

Both tiers are pools. A page moves when a block begins, and for every cache that has it, so that device memory is
really freed however many forks there are; it never moves back. Without CUDA both tiers are host memory: pages are
moved all the same and read where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from weakref import WeakSet

import torch
from inferix_core.contracts.attention import Segment
from inferix_core.plan import KVLayout

from inferix_kvstore.stores import pool
from inferix_kvstore.stores.configuration import OffloadConfig
from inferix_kvstore.stores.paged import PagedCache
from inferix_kvstore.stores.pool import Page, PagePool
from inferix_kvstore.stores.staging import Copier, CudaCopier, Staging


class OffloadStore:
    """Makes caches over a pool on the device and a pool in host memory.

    `copier` brings pages from the host to the device; None reads them where they lie. By default CUDA devices have
    one and others do not.
    """

    def __init__(
        self,
        config: OffloadConfig,
        *,
        layout: KVLayout,
        capacity: int | None,
        device: torch.device,
        dtype: torch.dtype,
        copier: Copier | None = None,
    ) -> None:
        is_cuda = device.type == "cuda"
        self.num_device_latents = config.num_device_latents
        self.device_pool = PagePool(
            layout,
            max_pages=config.max_latents,
            num_pages_per_chunk=config.num_latents_per_chunk,
            setting="kv.store.max_latents",
            device=device,
            dtype=dtype,
        )
        self.host_pool = PagePool(
            layout,
            max_pages=config.max_host_latents,
            num_pages_per_chunk=config.num_latents_per_chunk,
            setting="kv.store.max_host_latents",
            device=torch.device("cpu"),
            dtype=dtype,
            pinned=is_cuda,
        )
        self._layout = layout
        self._device = device
        self._dtype = dtype
        self._copier = CudaCopier(device) if copier is None and is_cuda else copier
        self._caches: WeakSet[OffloadCache] = WeakSet()

    @property
    def num_bytes(self) -> int:
        """Bytes of the pages in use on the device, shared ones once, and of the buffers for those of the host."""
        return self.device_pool.num_bytes + sum(cache.num_staging_bytes for cache in self._caches)

    @property
    def num_reserved_bytes(self) -> int:
        """Bytes of all chunks and buffers on the device, the pages in use included."""
        return self.device_pool.num_reserved_bytes + sum(cache.num_staging_bytes for cache in self._caches)

    @property
    def num_host_bytes(self) -> int:
        """Bytes of the pages in use in host memory, shared ones once."""
        return self.host_pool.num_bytes

    def create(self) -> OffloadCache:
        """See `KVStore.create`."""
        cache = OffloadCache(self)
        self._caches.add(cache)
        return cache

    def staging(self) -> Staging | None:
        """Buffers for one cache, None where host pages are read in place."""
        if self._copier is None:
            return None
        return Staging(self._layout, device=self._device, dtype=self._dtype, copier=self._copier)


class OffloadCache(PagedCache):
    """A table of pages of both pools."""

    def __init__(self, store: OffloadStore) -> None:
        super().__init__(store.device_pool)
        self._store = store
        self._staging = store.staging()

    @property
    def num_bytes(self) -> int:
        """Bytes of its pages on the device, and of the buffers."""
        return super().num_bytes + self.num_staging_bytes

    @property
    def num_staging_bytes(self) -> int:
        """Bytes of the buffers on the device."""
        return 0 if self._staging is None else self._staging.num_bytes

    def reserve(self, latents: Sequence[int]) -> None:
        """See `KVCache.reserve`; moves the pages that are no longer recent, also where room is short afterwards."""
        old = self.held[: -self._store.num_device_latents]
        pages = [self._pages[latent] for latent in old]
        self._store.host_pool.take_over([page for page in pages if not self._is_on_host(page)])
        super().reserve(latents)

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """See `KVCache.segments`: views of the device's pages, and of buffers or host memory for the others."""
        pages = [self._pages[latent] for latents in ranges for latent in latents]
        on_host = [page for page in pages if self._is_on_host(page)]
        if self._staging is None or not on_host:
            return pool.segments(layer, pages)
        buffer = self._staging.fetch(layer, on_host)
        done = 0
        found: list[Segment] = []
        for is_on_host, group in groupby(pages, key=self._is_on_host):
            run = list(group)
            if is_on_host:
                found.append(buffer.segment(0, range(done, done + len(run))))
                done += len(run)
            else:
                found += pool.segments(layer, run)
        return found

    def close(self) -> None:
        """See `KVCache.close`."""
        super().close()
        if self._staging is not None:
            self._staging.close()

    def _sibling(self) -> OffloadCache:
        return self._store.create()

    def _is_on_host(self, page: Page) -> bool:
        return page.pool is self._store.host_pool
