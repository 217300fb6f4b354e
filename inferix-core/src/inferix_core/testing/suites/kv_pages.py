"""What the rules of KV stores write and read, and what a subclass supplies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inferix_core.contracts.kv import KVCache, KVStore
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites.base import Suite

LAYOUT = KVLayout(num_layers=2, tokens_per_latent=3, fields={"k": FieldShape((1, 2)), "other": FieldShape((4,))})
"""Fields that no attention knows: a store never interprets them."""

PAGE_BYTES = 2 * 3 * (2 + 4) * 4
_AMPLE_CAPACITY = 64


class KVStoreCase(Suite):
    """What the rules need of the store that is tested."""

    def store(self, *, layout: KVLayout, capacity: int | None) -> KVStore:
        """A new store on the CPU for float32 pages, as the engine builds it under a policy of that capacity."""
        raise NotImplementedError("Supply `store`: return the store that is to be tested.")

    def small_store(self, *, layout: KVLayout, num_latents: int) -> KVStore:
        """A new store whose caches have room for `num_latents` latents and no more."""
        raise NotImplementedError("Supply `small_store`: return a store with room for `num_latents` latents.")

    def _store(self, layout: KVLayout = LAYOUT) -> KVStore:
        """A store with more room than any rule needs."""
        return self.store(layout=layout, capacity=_AMPLE_CAPACITY if "bounded" in self.provides else None)

    def _cache(self, layout: KVLayout = LAYOUT) -> KVCache:
        return self._store(layout).create()


def content(latents: Sequence[int], layer: int, name: str, *, shift: float = 0.0) -> Tensor:
    """What the suite writes: every element of every token of every latent is another number."""
    shape = LAYOUT.fields[name].shape
    base = torch.arange(3.0 * torch.Size(shape).numel()).view(3, *shape) / 64
    sign = 1.0 if name == "k" else -1.0
    return torch.cat([sign * (base + 10.0 * latent + 1000.0 * layer + shift) for latent in latents])


def write(cache: KVCache, latents: range, *, shift: float = 0.0) -> None:
    """Writes drafts in every layer."""
    for layer in range(LAYOUT.num_layers):
        cache.write(layer, latents, {name: content(latents, layer, name, shift=shift) for name in LAYOUT.fields})


def add(cache: KVCache, latents: range, *, shift: float = 0.0) -> None:
    """Reserves, writes and commits."""
    cache.reserve(latents)
    write(cache, latents, shift=shift)
    cache.commit(latents)


def reads(cache: KVCache, latents: Sequence[int], *, shift: float = 0.0) -> bool:
    """Whether the cache gives what was written for `latents`, in order, in every layer and field."""
    ranges = [range(latent, latent + 1) for latent in latents]
    for layer in range(LAYOUT.num_layers if latents else 0):
        segments = cache.segments(layer, ranges)
        for name in LAYOUT.fields:
            joined = torch.cat([segment[name] for segment in segments], dim=1)[0]
            if not torch.equal(joined, content(latents, layer, name, shift=shift)):
                return False
    return True
