"""A store whose pages a codec encodes: drafts and exact pages in one cache, encoded pages in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from inferix_core.runtime.ranges import ranges_of

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.attention import Segment
    from inferix_core.contracts.kv import KVCache, KVCodec, KVStore
    from inferix_core.plan import KVLayout


class CodedStore:
    """Two stores of one kind behind the contract of one: `exact` has the model's layout, `encoded` the codec's."""

    def __init__(self, exact: KVStore, encoded: KVStore, codec: KVCodec, *, layout: KVLayout) -> None:
        self._exact = exact
        self._encoded = encoded
        self._codec = codec
        self._layout = layout

    @property
    def codec(self) -> KVCodec:
        """How encoded pages are kept."""
        return self._codec

    @property
    def num_bytes(self) -> int:
        """See `KVStore.num_bytes`."""
        return self._exact.num_bytes + self._encoded.num_bytes

    @property
    def num_reserved_bytes(self) -> int:
        """See `KVStore.num_reserved_bytes`."""
        return self._exact.num_reserved_bytes + self._encoded.num_reserved_bytes

    def create(self) -> CodedCache:
        """See `KVStore.create`."""
        return CodedCache(self._exact.create(), self._encoded.create(), self._codec, layout=self._layout)


class CodedCache:
    """Pages are encoded when a later block makes room for itself, so that a step that fails can be taken back.

    At most the sink, the recent latents and what is in flight lie in `exact`; every other page lies in `encoded`.
    """

    def __init__(self, exact: KVCache, encoded: KVCache, codec: KVCodec, *, layout: KVLayout) -> None:
        self.exact = exact
        self.encoded = encoded
        self._codec = codec
        self._layout = layout
        self._newest = -1

    @property
    def codec(self) -> KVCodec:
        """How encoded pages are kept."""
        return self._codec

    @property
    def held(self) -> tuple[int, ...]:
        """See `KVCache.held`."""
        return tuple(sorted((*self.encoded.held, *self.exact.held)))

    @property
    def reserved(self) -> tuple[int, ...]:
        """See `KVCache.reserved`."""
        return self.exact.reserved

    @property
    def num_bytes(self) -> int:
        """See `KVCache.num_bytes`."""
        return self.exact.num_bytes + self.encoded.num_bytes

    def reserve(self, latents: Sequence[int]) -> None:
        """See `KVCache.reserve`; a new block encodes the pages that are not to stay exact any longer.

        They are encoded also where there is no room for the block then: when it is tried again, they would be.
        """
        if latents[0] > self._newest:
            self._encode(self._due(latents[0]))
        self.exact.reserve(latents)
        self._newest = max(self._newest, latents[-1])

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        """See `KVCache.write`."""
        self.exact.write(layer, latents, fields)

    def commit(self, latents: range) -> None:
        """See `KVCache.commit`."""
        self.exact.commit(latents)

    def uncommit(self, latents: range) -> None:
        """See `KVCache.uncommit`; what was encoded meanwhile is forgotten, reservation and all."""
        self.encoded.drop(_within(latents, self.encoded.held))
        for part in ranges_of(_within(latents, self.exact.held)):
            self.exact.uncommit(part)

    def drop(self, latents: Sequence[int]) -> None:
        """See `KVCache.drop`."""
        self.encoded.drop(_within(latents, self.encoded.held))
        self.exact.drop(_within(latents, (*self.exact.held, *self.exact.reserved)))

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """See `KVCache.segments`; encoded pages are decoded into new tensors.

        Each tier is asked once: what a store that fetches pages has given holds until it is asked again.
        """
        encoded = set(self.encoded.held)
        runs = _runs(ranges, encoded.__contains__)
        pieces = {
            tier: _Pieces(
                read(layer, [part for of_tier, parts in runs if of_tier is tier for part in parts]), self._layout
            )
            for tier, read in ((False, self.exact.segments), (True, self._decoded_segments))
        }
        return [piece for tier, parts in runs for piece in pieces[tier].take(sum(map(len, parts)))]

    def fork(self) -> CodedCache:
        """See `KVCache.fork`."""
        twin = CodedCache(self.exact.fork(), self.encoded.fork(), self._codec, layout=self._layout)
        twin._newest = self._newest
        return twin

    def close(self) -> None:
        """See `KVCache.close`."""
        self.exact.close()
        self.encoded.close()

    def _due(self, next_latent: int) -> list[int]:
        """The exact pages that are neither of the sink nor recent when a block begins at `next_latent`."""
        first, end = self._codec.num_exact_sink_latents, next_latent - self._codec.num_exact_recent_latents
        return [latent for latent in self.exact.held if first <= latent < end]

    def _encode(self, latents: Sequence[int]) -> None:
        if not latents:
            return
        self.encoded.reserve(latents)
        for part in ranges_of(latents):
            for layer in range(self._layout.num_layers):
                written = part.start
                for segment in self.exact.segments(layer, [part]):
                    pages = _pages(segment, self._layout)
                    length = len(next(iter(pages.values())))
                    stored = {name: rows.flatten(0, 1) for name, rows in self._codec.encode(pages).items()}
                    self.encoded.write(layer, range(written, written + length), stored)
                    written += length
            self.encoded.commit(part)
        self.exact.drop(latents)

    def _decoded_segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        segments: list[Segment] = []
        for segment in self.encoded.segments(layer, ranges):
            fields = self._codec.decode(_pages(segment, self._codec.layout))
            segments.append({name: rows.flatten(0, 1).unsqueeze(0) for name, rows in fields.items()})
        return segments


class _Pieces:
    """Segments that are handed out again in pieces of so many latents, cut where they must be."""

    def __init__(self, segments: list[Segment], layout: KVLayout) -> None:
        self._segments = segments
        self._num_rows = {name: layout.page_shape(name)[0] for name in layout.fields}
        self._start = 0  # in latents, of the first segment

    def take(self, num_latents: int) -> Iterator[Segment]:
        """Views of the next latents."""
        while num_latents:
            segment = self._segments[0]
            name, rows = next(iter(segment.items()))
            available = rows.shape[1] // self._num_rows[name]
            end = min(available, self._start + num_latents)
            yield {
                name: rows[:, self._start * self._num_rows[name] : end * self._num_rows[name]]
                for name, rows in segment.items()
            }
            num_latents -= end - self._start
            self._start = end
            if end == available:
                self._segments, self._start = self._segments[1:], 0


def _pages(segment: Segment, layout: KVLayout) -> dict[str, Tensor]:
    """Rows `[1, P * rows, ...]` of adjacent pages as pages `[P, rows, ...]`."""
    return {name: values.view(-1, *layout.page_shape(name)) for name, values in segment.items()}


def _within(latents: Iterable[int], there: Sequence[int]) -> list[int]:
    known = set(there)
    return [latent for latent in latents if latent in known]


def _runs(ranges: Sequence[range], is_encoded: Callable[[int], bool]) -> list[tuple[bool, list[range]]]:
    """The ranges cut where the tier changes, neighbours of one tier together."""
    runs: list[tuple[bool, list[int]]] = []
    for latents in ranges:
        for latent in latents:
            tier = is_encoded(latent)
            if not runs or runs[-1][0] != tier:
                runs.append((tier, []))
            runs[-1][1].append(latent)
    return [(tier, ranges_of(latents)) for tier, latents in runs]
