"""The plain KV store: one contiguous slab for each field, latents side by side in ascending order.

What a policy keeps is always one run of slots, so attention reads a single view. When the slab's
end is reached, the run moves back to its front; `slack_latents` extra slots make that rare.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from weakref import WeakSet

import torch
from torch import Tensor

from inferix_core.contracts.attention import Segment
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.errors import CapacityError
from inferix_core.plan import KVLayout
from inferix_core.slabs import empty_slabs

_FIRST_SLOTS = 8


class DenseStore:
    """Makes one slab for each world and cache; nothing is shared between worlds."""

    def __init__(
        self,
        config: DenseConfig,
        *,
        layout: KVLayout,
        capacity: int | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._config = config
        self._layout = layout
        self._capacity = capacity
        self._device = device
        self._dtype = dtype
        self._caches: WeakSet[DenseCache] = WeakSet()

    @property
    def num_bytes(self) -> int:
        """See `KVStore.num_bytes`."""
        return sum(cache.num_bytes for cache in self._caches)

    @property
    def num_reserved_bytes(self) -> int:
        """See `KVStore.num_reserved_bytes`."""
        return self.num_bytes

    def create(self) -> DenseCache:
        """An empty cache; the slab is made at the first reservation."""
        cache = DenseCache(self)
        self._caches.add(cache)
        return cache

    @property
    def max_latents(self) -> int | None:
        """The most latents that one cache may hold."""
        return self._config.max_latents

    @property
    def num_first_slots(self) -> int:
        """How many slots a new slab has; where the policy has a bound it never needs more."""
        if self._capacity is None:
            return _FIRST_SLOTS
        slack = self._config.slack_latents
        return self._capacity + (self._capacity // 2 if slack is None else slack)

    def slabs(self, num_slots: int) -> dict[str, Tensor]:
        """Empty slabs. Raises `CapacityError` where memory is short."""
        return empty_slabs(self._layout, num_slots, device=self._device, dtype=self._dtype)


class DenseCache:
    """One world's slab. Slots `[start, start + len(order))` hold the latents of `order`, ascending."""

    def __init__(self, store: DenseStore) -> None:
        self._store = store
        self._slabs: dict[str, Tensor] = {}
        self._num_slots = 0
        self._start = 0
        self._order: list[int] = []
        self._committed: set[int] = set()

    @property
    def held(self) -> tuple[int, ...]:
        """See `KVCache.held`."""
        return tuple(latent for latent in self._order if latent in self._committed)

    @property
    def reserved(self) -> tuple[int, ...]:
        """See `KVCache.reserved`."""
        return tuple(latent for latent in self._order if latent not in self._committed)

    @property
    def num_bytes(self) -> int:
        """Bytes of the slab, empty slots included."""
        return sum(slab.nbytes for slab in self._slabs.values())

    def reserve(self, latents: Sequence[int]) -> None:
        """See `KVCache.reserve`; latents come in ascending order after all that is there."""
        num_needed = len(self._order) + len(latents)
        max_latents = self._store.max_latents
        if max_latents is not None and num_needed > max_latents:
            raise CapacityError(
                f"Room for {len(latents)} more latents was asked for; {len(self._order)} are held and "
                f"kv.store.max_latents is {max_latents}. Raise it, or choose a KV policy with a smaller window."
            )
        if self._start + num_needed > self._num_slots:
            self._make_room(num_needed)
        self._order.extend(latents)

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        """See `KVCache.write`."""
        first = self._slot(latents.start)
        for name, values in fields.items():
            slots = self._slabs[name][layer, first : first + len(latents)]
            slots.copy_(values.view(slots.shape))

    def commit(self, latents: range) -> None:
        """See `KVCache.commit`."""
        self._committed.update(latents)

    def uncommit(self, latents: range) -> None:
        """See `KVCache.uncommit`."""
        self._committed.difference_update(latents)

    def drop(self, latents: Sequence[int]) -> None:
        """See `KVCache.drop`; what follows a hole moves up to close it."""
        gone = set(latents)
        kept = [latent for latent in self._order if latent not in gone]
        num_leading = next((i for i, latent in enumerate(self._order) if latent not in gone), len(self._order))
        if kept == self._order[num_leading:]:
            self._start += num_leading
        else:
            self._close_holes(kept)
        self._order = kept
        self._committed -= gone
        if not kept:
            self._start = 0

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """See `KVCache.segments`: views, one for each run of adjacent slots."""
        runs: list[list[int]] = []
        for latents in ranges:
            first = self._slot(latents.start)
            if runs and runs[-1][1] == first:
                runs[-1][1] = first + len(latents)
            else:
                runs.append([first, first + len(latents)])
        return [
            {name: slab[layer, first:end].flatten(0, 1).unsqueeze(0) for name, slab in self._slabs.items()}
            for first, end in runs
        ]

    def fork(self) -> DenseCache:
        """See `KVCache.fork`; a full copy, which raises `CapacityError` where memory is short."""
        twin = self._store.create()
        if self._slabs:
            twin._slabs = self._store.slabs(self._num_slots)
            for name, slab in self._slabs.items():
                twin._slabs[name].copy_(slab)
        twin._num_slots, twin._start = self._num_slots, self._start
        twin._order, twin._committed = list(self._order), set(self._committed)
        twin.drop(self.reserved)
        return twin

    def close(self) -> None:
        """See `KVCache.close`."""
        self._slabs, self._order, self._committed = {}, [], set()
        self._num_slots = self._start = 0

    def _slot(self, latent: int) -> int:
        return self._start + bisect_left(self._order, latent)

    def _make_room(self, num_needed: int) -> None:
        """Moves the run to the front of a slab with at least `num_needed` slots."""
        num_slots = max(self._store.num_first_slots, self._num_slots)
        while num_slots < num_needed:
            num_slots *= 2
        if num_slots == self._num_slots:
            self._copy_slots(self._start, 0, len(self._order))
            self._start = 0
            return
        slabs = self._store.slabs(num_slots)
        end = self._start + len(self._order)
        for name, slab in self._slabs.items():
            slabs[name][:, : len(self._order)] = slab[:, self._start : end]
        self._slabs, self._num_slots, self._start = slabs, num_slots, 0

    def _close_holes(self, kept: list[int]) -> None:
        """Moves runs of kept latents so that they lie side by side from `start`."""
        target = self._start
        index = 0
        while index < len(kept):
            source = self._slot(kept[index])
            length = 1
            while index + length < len(kept) and self._slot(kept[index + length]) == source + length:
                length += 1
            self._copy_slots(source, target, length)
            target += length
            index += length

    def _copy_slots(self, source: int, target: int, length: int) -> None:
        if source == target:
            return
        for slab in self._slabs.values():
            for layer in slab:  # one layer at a time: the copy of an overlapping run stays small
                run = layer[source : source + length]
                layer[target : target + length] = run if abs(source - target) >= length else run.clone()
