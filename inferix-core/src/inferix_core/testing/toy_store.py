"""A KV store that is as simple as its contract: a dictionary of pages, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar
from weakref import WeakSet

import torch
from torch import Tensor

from inferix_core.contracts.attention import Segment
from inferix_core.errors import CapacityError

Page = dict[str, Tensor]
"""One latent of one layer: field name to `[tokens, ...]`."""


class ToyCache:
    """Pages and drafts by latent, then by layer. Every read copies."""

    def __init__(self, store: ToyStore) -> None:
        self.store = store
        store.caches.add(self)
        self.pages: dict[int, dict[int, Page]] = {}
        self.committed: set[int] = set()

    @property
    def held(self) -> tuple[int, ...]:
        """See `KVCache.held`."""
        return tuple(sorted(self.committed))

    @property
    def reserved(self) -> tuple[int, ...]:
        """See `KVCache.reserved`."""
        return tuple(sorted(self.pages.keys() - self.committed))

    @property
    def num_bytes(self) -> int:
        """See `KVCache.num_bytes`."""
        return _num_bytes(self.all_pages())

    def reserve(self, latents: Sequence[int]) -> None:
        """See `KVCache.reserve`."""
        most = self.store.max_latents
        if most is not None and len(self.pages) + len(latents) > most:
            raise CapacityError(
                f"Room for {len(latents)} more latents was asked for; {len(self.pages)} of {most} are "
                "taken. Give the toy store a larger max_latents."
            )
        self.pages.update({latent: {} for latent in latents})

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        """See `KVCache.write`."""
        for place, latent in enumerate(latents):
            self.pages[latent][layer] = {
                name: values.tensor_split(len(latents))[place].clone() for name, values in fields.items()
            }

    def commit(self, latents: range) -> None:
        """See `KVCache.commit`."""
        self.committed.update(latents)

    def uncommit(self, latents: range) -> None:
        """See `KVCache.uncommit`."""
        self.committed.difference_update(latents)

    def drop(self, latents: Sequence[int]) -> None:
        """See `KVCache.drop`."""
        for latent in latents:
            self.pages.pop(latent, None)
        self.committed.difference_update(latents)

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """See `KVCache.segments`: one for each range."""
        return [_joined(self.pages[latent][layer] for latent in latents) for latents in ranges]

    def fork(self) -> ToyCache:
        """See `KVCache.fork`; pages are shared, since nobody writes into them."""
        twin = type(self)(self.store)
        twin.pages = {latent: dict(self.pages[latent]) for latent in self.committed}
        twin.committed = set(self.committed)
        return twin

    def close(self) -> None:
        """See `KVCache.close`."""
        self.pages, self.committed = {}, set()

    def all_pages(self) -> Iterator[Page]:
        """The pages and drafts of every latent and layer."""
        return (page for layers in self.pages.values() for page in layers.values())


class ToyStore:
    """Makes caches of at most `max_latents` latents. Provides "fork" and "shared-pages"."""

    cache_type: ClassVar[type[ToyCache]] = ToyCache

    def __init__(self, *, max_latents: int | None = None) -> None:
        self.max_latents = max_latents
        self.caches: WeakSet[ToyCache] = WeakSet()

    @property
    def num_bytes(self) -> int:
        """See `KVStore.num_bytes`."""
        return _num_bytes({id(page): page for cache in self.caches for page in cache.all_pages()}.values())

    @property
    def num_reserved_bytes(self) -> int:
        """See `KVStore.num_reserved_bytes`."""
        return self.num_bytes

    def create(self) -> ToyCache:
        """See `KVStore.create`."""
        return self.cache_type(self)


def _num_bytes(pages: Iterable[Page]) -> int:
    return sum(tensor.nbytes for page in pages for tensor in page.values())


def _joined(pages: Iterable[Page]) -> Segment:
    rows = list(pages)
    return {name: torch.cat([page[name] for page in rows]).unsqueeze(0) for name in rows[0]}
