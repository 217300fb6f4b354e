"""Pages of host memory on their way through a CUDA device: two buffers, each for one layer's pages.

While a layer is computed from one buffer, the next layer's pages arrive in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from inferix_core.plan import KVLayout
from torch import Tensor

from inferix_kvstore.stores.pool import Page, places
from inferix_kvstore.stores.slabs import Slabs


class Arrival(Protocol):
    """Copies that were started."""

    def wait(self) -> None:
        """Makes whatever is computed from now on see the copies."""


class Copier(Protocol):
    """Copies beside the computation."""

    def adopt(self, tensor: Tensor) -> None:
        """Keeps the tensor's memory, even if it is let go, until copies into it are done."""

    def start(self, copy: Callable[[], None]) -> Arrival:
        """Runs `copy` when what the computation was asked for up to now is done, and does not wait for it."""


class CudaCopier:
    """Copies on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def adopt(self, tensor: Tensor) -> None:
        """See `Copier.adopt`."""
        tensor.record_stream(self._stream)

    def start(self, copy: Callable[[], None]) -> CudaArrival:
        """See `Copier.start`."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            copy()
        return CudaArrival(self._stream.record_event(), self._device)


@dataclass(frozen=True, slots=True)
class CudaArrival:
    """An event after the copies."""

    event: torch.cuda.Event
    device: torch.device

    def wait(self) -> None:
        """See `Arrival.wait`; the host goes on."""
        torch.cuda.current_stream(self.device).wait_event(self.event)


@dataclass(slots=True)
class _Buffer:
    """Room on the device, whose pages of which layer it has, and their arrival."""

    slabs: Slabs
    layer: int
    pages: tuple[Page, ...]
    arrival: Arrival


class Staging:
    """Two buffers. Pages are immutable, so what was fetched of them never goes out of date."""

    def __init__(self, layout: KVLayout, *, device: torch.device, dtype: torch.dtype, copier: Copier) -> None:
        self._num_layers = layout.num_layers
        self._layout = replace(layout, num_layers=1)
        self._device = device
        self._dtype = dtype
        self._copier = copier
        self._current: _Buffer | None = None
        self._other: _Buffer | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes of both buffers."""
        return sum(buffer.slabs.num_bytes for buffer in (self._current, self._other) if buffer is not None)

    def fetch(self, layer: int, pages: Sequence[Page]) -> Slabs:
        """Slabs of one layer with the pages in the first slots, valid until the next call.

        The next layer's pages are sent for where the same ones were asked for before, or none were; the first layer
        follows the last. Raises `CapacityError` where the device has no memory for the buffers.
        """
        wanted = tuple(pages)
        is_repeated = self._current is None or self._current.pages == wanted
        if not _has(self._current, layer, wanted):
            if not _has(self._other, layer, wanted):
                self._other = self._sent_for(layer, wanted, into=self._other)
            self._current, self._other = self._other, self._current
        assert self._current is not None, "what was sent for is there"
        self._current.arrival.wait()
        following = (layer + 1) % self._num_layers
        if is_repeated and following != layer and not _has(self._other, following, wanted):
            self._other = self._sent_for(following, wanted, into=self._other)
        return self._current.slabs

    def close(self) -> None:
        """Lets the buffers go."""
        self._current = self._other = None

    def _sent_for(self, layer: int, pages: tuple[Page, ...], *, into: _Buffer | None) -> _Buffer:
        slabs = into.slabs if into is not None and into.slabs.num_slots >= len(pages) else self._room(len(pages))

        def copy() -> None:
            done = 0
            for source, slots in places(pages):
                for name, run in source.pages(layer, slots).items():
                    slabs.fields[name][0, done : done + len(slots)].copy_(run, non_blocking=True)
                done += len(slots)

        return _Buffer(slabs, layer, pages, self._copier.start(copy))

    def _room(self, num_pages: int) -> Slabs:
        slabs = Slabs(self._layout, num_pages, device=self._device, dtype=self._dtype)
        for tensor in slabs.fields.values():
            self._copier.adopt(tensor)
        return slabs


def _has(buffer: _Buffer | None, layer: int, pages: tuple[Page, ...]) -> bool:
    return buffer is not None and buffer.layer == layer and buffer.pages == pages
