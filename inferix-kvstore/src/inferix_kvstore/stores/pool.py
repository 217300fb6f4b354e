"""A pool of pages that worlds share: pages are numbered, counted, and lie in chunks that come and go.

A page here is one latent in all layers. Any free page serves any world, so nothing can be fragmented beyond use;
side by side they are only quicker to read. Numbers of two chunks never touch: one is left out between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from inferix_core.contracts.attention import Segment
from inferix_core.errors import CapacityError
from inferix_core.plan import KVLayout
from inferix_core.slabs import num_page_bytes
from torch import Tensor

from inferix_kvstore.stores.free_runs import FreeRuns
from inferix_kvstore.stores.slabs import Slabs, pages_of


@dataclass(eq=False, slots=True)
class Page:
    """One latent's keys and values: the pool where they lie, their number there, and how many caches have it."""

    pool: PagePool
    number: int
    num_owners: int = 1


@dataclass(slots=True)
class _Chunk:
    slabs: Slabs
    num_taken: int = 0


class PagePool:
    """Room for `max_pages` pages (None: as memory allows), `num_pages_per_chunk` at a time.

    `setting` is the option that a user raises to raise `max_pages`. At most one wholly free chunk is kept.
    Garbage collection may come at any moment, so it only puts pages into `abandoned`; the pool takes them back
    when it is next asked for something.
    """

    def __init__(
        self,
        layout: KVLayout,
        *,
        max_pages: int | None,
        num_pages_per_chunk: int,
        setting: str,
        device: torch.device,
        dtype: torch.dtype,
        pinned: bool = False,
    ) -> None:
        self.num_page_bytes = num_page_bytes(layout, dtype=dtype)
        self.abandoned: deque[Page] = deque()
        self._num_pages = 0
        self._layout = layout
        self._max_pages = max_pages
        self._num_pages_per_chunk = num_pages_per_chunk
        self._setting = setting
        self._device = device
        self._dtype = dtype
        self._pinned = pinned
        self._chunks: dict[int, _Chunk] = {}
        self._free = FreeRuns()

    @property
    def num_pages(self) -> int:
        """Pages in use, shared ones counted once."""
        self.take_abandoned_back()
        return self._num_pages

    @property
    def num_bytes(self) -> int:
        """Bytes of the pages in use, shared ones counted once."""
        return self.num_pages * self.num_page_bytes

    @property
    def num_reserved_bytes(self) -> int:
        """Bytes of all chunks, free pages included."""
        self.take_abandoned_back()
        return sum(chunk.slabs.num_bytes for chunk in self._chunks.values())

    def allocate(self, num_pages: int, *, after: Page | None = None) -> list[Page]:
        """New pages, next to `after` if that is free, else from the start of the longest free run.

        Raises `CapacityError` and changes nothing if there is no room for all of them.
        """
        self.take_abandoned_back()
        if self._max_pages is not None and self._num_pages + num_pages > self._max_pages:
            raise CapacityError(
                f"Room for {num_pages} more latents was asked for; {self._num_pages} are in use by all worlds and "
                f"{self._setting} is {self._max_pages}. Close worlds, raise it, or choose a KV policy with a smaller "
                "window."
            )
        self._grow(num_pages - len(self._free))
        numbers: list[int] = []
        following = self._free.run_from(after.number + 1) if after is not None and after.pool is self else range(0)
        while len(numbers) < num_pages:
            run = (following or self._free.longest)[: num_pages - len(numbers)]
            self._free.remove(run)
            self._chunk_of(run.start).num_taken += len(run)
            numbers.extend(run)
            following = range(0)
        self._num_pages += num_pages
        return [Page(self, number) for number in numbers]

    def copies_of(self, pages: Sequence[Page]) -> list[Page]:
        """New pages here with the content of `pages`, which may lie in other pools. Raises `CapacityError`."""
        copies = self.allocate(len(pages))
        for page, place in zip(pages, copies, strict=True):
            self._copy(page, place)
        return copies

    def take_over(self, pages: Sequence[Page]) -> None:
        """Moves pages of another pool here, for every cache that has them. Raises `CapacityError` and moves none."""
        for page, place in zip(pages, self.allocate(len(pages)), strict=True):
            self._copy(page, place)
            page.pool.free(page.number)
            page.pool, page.number = self, place.number

    def free(self, number: int) -> None:
        """Takes back a page that nobody has any more."""
        chunk = self._chunk_of(number)
        self._free.add(range(number, number + 1))
        self._num_pages -= 1
        chunk.num_taken -= 1
        if chunk.num_taken == 0:
            self._trim()

    def take_abandoned_back(self) -> None:
        """Releases the pages of caches that were let go without being closed."""
        while self.abandoned:
            release([self.abandoned.popleft()])

    def place(self, numbers: range) -> tuple[Slabs, range]:
        """Where adjacent pages lie: the slabs of their chunk, and the slots in them."""
        index, slot = divmod(numbers.start, self._num_pages_per_chunk + 1)
        return self._chunks[index].slabs, range(slot, slot + len(numbers))

    def _copy(self, source: Page, target: Page) -> None:
        (theirs, their_slots), (ours, our_slots) = next(places([source])), next(places([target]))
        ours.copy_from(theirs, their_slots.start, our_slots.start)

    def _chunk_of(self, number: int) -> _Chunk:
        return self._chunks[number // (self._num_pages_per_chunk + 1)]

    def _numbers(self, index: int, num_pages: int) -> range:
        first = index * (self._num_pages_per_chunk + 1)
        return range(first, first + num_pages)

    def _grow(self, num_missing: int) -> None:
        """Adds chunks with at least `num_missing` pages in all, or none."""
        added: list[Slabs] = []
        num_there = len(self._free) + self._num_pages
        while num_missing > 0:
            length = self._num_pages_per_chunk
            if self._max_pages is not None:
                length = min(length, self._max_pages - num_there)
            added.append(Slabs(self._layout, length, device=self._device, dtype=self._dtype, pinned=self._pinned))
            num_there += length
            num_missing -= length
        indices = (index for index in count() if index not in self._chunks)
        for index, slabs in zip(indices, added, strict=False):
            self._chunks[index] = _Chunk(slabs)
            self._free.add(self._numbers(index, slabs.num_slots))

    def _trim(self) -> None:
        """Gives wholly free chunks back, all but the first."""
        empty = [index for index, chunk in self._chunks.items() if chunk.num_taken == 0]
        for index in empty[1:]:
            chunk = self._chunks.pop(index)
            self._free.remove(self._numbers(index, chunk.slabs.num_slots))


def share(pages: Iterable[Page]) -> None:
    """Counts one more owner of each page."""
    for page in pages:
        page.num_owners += 1


def release(pages: Iterable[Page]) -> None:
    """Counts one owner less; a page without one goes back to its pool."""
    for page in pages:
        page.num_owners -= 1
        if page.num_owners == 0:
            page.pool.free(page.number)


def write(layer: int, pages: Sequence[Page], fields: Mapping[str, Tensor]) -> None:
    """Writes rows of adjacent latents into their pages."""
    content = pages_of(fields, len(pages))
    done = 0
    for slabs, slots in places(pages):
        slabs.write(layer, slots, {name: values[done : done + len(slots)] for name, values in content.items()})
        done += len(slots)


def segments(layer: int, pages: Sequence[Page]) -> list[Segment]:
    """Views of the pages' rows, one for each run that lies side by side."""
    return [slabs.segment(layer, slots) for slabs, slots in places(pages)]


def places(pages: Sequence[Page]) -> Iterator[tuple[Slabs, range]]:
    """Where each run of adjacent pages lies: the slabs, and the slots in them."""
    first = 0
    for place in range(1, len(pages) + 1):
        before = pages[place - 1]
        if place < len(pages) and pages[place].pool is before.pool and pages[place].number == before.number + 1:
            continue
        numbers = range(pages[first].number, before.number + 1)
        yield before.pool.place(numbers)
        first = place
