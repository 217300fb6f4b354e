"""The store `ring`: a fixed number of slots for each world, written in place.

Nothing is ever moved or copied: a new latent takes the first free slot after that of the last latent, around the
end. So a window is one run of slots, or two where it goes around the end, and a sink before it one more at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakSet

import torch
from inferix_core.contracts.attention import Segment
from inferix_core.errors import CapacityError, ConfigError
from inferix_core.plan import KVLayout
from torch import Tensor

from inferix_kvstore.stores.configuration import RingConfig
from inferix_kvstore.stores.slabs import Slabs, pages_of, runs


class RingStore:
    """Makes one ring of `capacity` slots for each world and cache; nothing is shared between worlds."""

    def __init__(
        self,
        config: RingConfig,
        *,
        layout: KVLayout,
        capacity: int | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        if capacity is None:
            raise ConfigError(
                "The KV store 'ring' has as many slots as the KV policy lets a world hold, and the chosen policy sets "
                "no bound. Use a policy that does, e.g. 'window' or 'sink-window', or a store that grows: 'dense', "
                "'paged' or 'offload'."
            )
        self._layout = layout
        self._capacity = capacity
        self._device = device
        self._dtype = dtype
        self._caches: WeakSet[RingCache] = WeakSet()

    @property
    def num_bytes(self) -> int:
        """See `KVStore.num_bytes`."""
        return sum(cache.num_bytes for cache in self._caches)

    @property
    def num_reserved_bytes(self) -> int:
        """See `KVStore.num_reserved_bytes`."""
        return self.num_bytes

    def create(self) -> RingCache:
        """An empty cache; its slots are made at the first reservation."""
        cache = RingCache(self)
        self._caches.add(cache)
        return cache

    def slots(self) -> Slabs:
        """The slots of one ring, uninitialised."""
        return Slabs(self._layout, self._capacity, device=self._device, dtype=self._dtype)


class RingCache:
    """One world's ring: a table says which slot each latent has."""

    def __init__(self, store: RingStore) -> None:
        self._store = store
        self._slabs: Slabs | None = None
        self._table: dict[int, int] = {}
        self._committed: set[int] = set()

    @property
    def held(self) -> tuple[int, ...]:
        """See `KVCache.held`."""
        return tuple(sorted(self._committed))

    @property
    def reserved(self) -> tuple[int, ...]:
        """See `KVCache.reserved`."""
        return tuple(sorted(self._table.keys() - self._committed))

    @property
    def num_bytes(self) -> int:
        """Bytes of all slots, empty ones included."""
        return 0 if self._slabs is None else self._slabs.num_bytes

    def reserve(self, latents: Sequence[int]) -> None:
        """See `KVCache.reserve`."""
        slabs = self._slabs or self._store.slots()
        num_free = slabs.num_slots - len(self._table)
        if len(latents) > num_free:
            raise CapacityError(
                f"Room for {len(latents)} more latents was asked for; {len(self._table)} of the ring's "
                f"{slabs.num_slots} slots are taken, which are as many as the KV policy holds at a time. Blocks in "
                "flight take room too: widen the policy's window, or use the store 'dense' or 'paged'."
            )
        self._slabs = slabs
        taken = set(self._table.values())
        slot = self._table[max(self._table)] if self._table else -1
        for latent in latents:
            slot = (slot + 1) % slabs.num_slots
            while slot in taken:
                slot = (slot + 1) % slabs.num_slots
            self._table[latent] = slot
            taken.add(slot)

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        """See `KVCache.write`."""
        pages = pages_of(fields, len(latents))
        done = 0
        for slots in runs(self._table[latent] for latent in latents):
            some = {name: values[done : done + len(slots)] for name, values in pages.items()}
            self._allocated.write(layer, slots, some)
            done += len(slots)

    def commit(self, latents: range) -> None:
        """See `KVCache.commit`."""
        self._committed.update(latents)

    def uncommit(self, latents: range) -> None:
        """See `KVCache.uncommit`."""
        self._committed.difference_update(latents)

    def drop(self, latents: Sequence[int]) -> None:
        """See `KVCache.drop`."""
        for latent in latents:
            self._table.pop(latent, None)
        self._committed.difference_update(latents)

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """See `KVCache.segments`: views, one for each run of slots."""
        slots = [self._table[latent] for latents in ranges for latent in latents]
        return [self._allocated.segment(layer, run) for run in runs(slots)]

    def fork(self) -> RingCache:
        """See `KVCache.fork`; the slots are copied. Raises `CapacityError` where memory is short."""
        twin = self._store.create()
        if self._slabs is not None:
            twin._slabs = self._store.slots()
            twin._slabs.copy_all_from(self._slabs)
        twin._table = {latent: self._table[latent] for latent in self.held}
        twin._committed = set(self._committed)
        return twin

    def close(self) -> None:
        """See `KVCache.close`."""
        self._slabs, self._table, self._committed = None, {}, set()

    @property
    def _allocated(self) -> Slabs:
        assert self._slabs is not None, "nothing is written or read before it was reserved"
        return self._slabs
