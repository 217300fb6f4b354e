"""The store `paged`: every world has a table of pages in a pool that all of them share.

A fork copies the table and counts its pages once more; tensors are not touched. Committed pages are immutable,
so who else has a page does not matter until it is to be a draft again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import finalize

import torch
from inferix_core.contracts.attention import Segment
from inferix_core.plan import KVLayout
from torch import Tensor

from inferix_kvstore.stores import pool
from inferix_kvstore.stores.configuration import PagedConfig
from inferix_kvstore.stores.pool import Page, PagePool

_UNBOUNDED_CHUNK = 16


class PagedStore:
    """Makes caches whose pages lie in one pool, which grows by chunks and never moves a page."""

    def __init__(
        self,
        config: PagedConfig,
        *,
        layout: KVLayout,
        capacity: int | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        default = _UNBOUNDED_CHUNK if capacity is None else 2 * capacity
        self._pool = PagePool(
            layout,
            max_pages=config.max_latents,
            num_pages_per_chunk=config.num_latents_per_chunk or default,
            setting="kv.store.max_latents",
            device=device,
            dtype=dtype,
        )

    @property
    def num_bytes(self) -> int:
        """Bytes of the pages in use, shared ones once; what chunks hold in reserve is not counted."""
        return self._pool.num_bytes

    @property
    def num_reserved_bytes(self) -> int:
        """Bytes of all chunks, the pages in use included."""
        return self._pool.num_reserved_bytes

    def create(self) -> PagedCache:
        """See `KVStore.create`."""
        return PagedCache(self._pool)


class PagedCache:
    """One world's table of pages. A cache that is let go without being closed gives its pages back as well."""

    def __init__(self, room: PagePool) -> None:
        self._pool = room
        self._pages: dict[int, Page] = {}
        self._committed: set[int] = set()
        finalize(self, _abandon, self._pages).atexit = False

    @property
    def held(self) -> tuple[int, ...]:
        """See `KVCache.held`."""
        return tuple(sorted(self._committed))

    @property
    def reserved(self) -> tuple[int, ...]:
        """See `KVCache.reserved`."""
        return tuple(sorted(self._pages.keys() - self._committed))

    @property
    def num_bytes(self) -> int:
        """Bytes of the pages in its table that lie in this pool."""
        return sum(page.pool is self._pool for page in self._pages.values()) * self._pool.num_page_bytes

    def reserve(self, latents: Sequence[int]) -> None:
        """See `KVCache.reserve`."""
        last = self._pages[max(self._pages)] if self._pages else None
        self._pages.update(zip(latents, self._pool.allocate(len(latents), after=last), strict=True))

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        """See `KVCache.write`."""
        pool.write(layer, [self._pages[latent] for latent in latents], fields)

    def commit(self, latents: range) -> None:
        """See `KVCache.commit`."""
        self._committed.update(latents)

    def uncommit(self, latents: range) -> None:
        """See `KVCache.uncommit`; copies pages that others have too, or raises `CapacityError` and does nothing."""
        pages = {latent: self._pages[latent] for latent in self._committed.intersection(latents)}
        immutable = {x: page for x, page in pages.items() if page.num_owners > 1 or page.pool is not self._pool}
        self._pages.update(zip(immutable, self._pool.copies_of(list(immutable.values())), strict=True))
        pool.release(immutable.values())
        self._committed.difference_update(pages)

    def drop(self, latents: Sequence[int]) -> None:
        """See `KVCache.drop`."""
        gone = {latent: self._pages.pop(latent) for latent in latents if latent in self._pages}
        self._committed.difference_update(gone)
        pool.release(gone.values())

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """See `KVCache.segments`: views, one for each run of pages that lie side by side."""
        return pool.segments(layer, [self._pages[latent] for latents in ranges for latent in latents])

    def fork(self) -> PagedCache:
        """See `KVCache.fork`; takes no memory and copies no page."""
        twin = self._sibling()
        twin._pages.update((latent, self._pages[latent]) for latent in self.held)
        twin._committed.update(self._committed)
        pool.share(twin._pages.values())
        return twin

    def close(self) -> None:
        """See `KVCache.close`."""
        self._committed.clear()
        pool.release(self._pages.values())
        self._pages.clear()

    def _sibling(self) -> PagedCache:
        """An empty cache of the same store."""
        return PagedCache(self._pool)


def _abandon(pages: Mapping[int, Page]) -> None:
    for page in pages.values():
        page.pool.abandoned.append(page)
