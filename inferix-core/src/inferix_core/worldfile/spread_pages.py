"""The pages of a world that lies over several ranks, as one rank would have them.

Letters: L latents, S tokens of a latent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch

from inferix_core.runtime.coded import CodedCache
from inferix_core.runtime.ranges import ranges_of
from inferix_core.worldfile.manifest import ENCODED, TierEntry, page_name
from inferix_core.worldfile.pages import page_tensors, tiers_of

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.kv import KVCache, KVCodec
    from inferix_core.plan import KVLayout
    from inferix_core.runtime.spread import Sharded
    from inferix_core.worldfile.tensors import TensorSources


class SpreadPages:
    """Adds pages to the sources of a file; to bring one is collective, and the first rank gets it whole.

    Pages that the ranks' codecs keep are decoded, put together and encoded again by `codec`, which keeps whole ones.
    """

    def __init__(self, spread: Sharded, *, codec: KVCodec | None) -> None:
        self._spread = spread
        self._codec = codec
        self.missing: set[str] = set()
        """The names of pages that were not brought yet."""

    def add(
        self,
        caches: Mapping[str, KVCache],
        layouts: Mapping[str, KVLayout],
        dtype: torch.dtype,
        sources: TensorSources,
    ) -> dict[str, dict[str, TierEntry]]:
        """See `pages.add_pages`."""
        entries: dict[str, dict[str, TierEntry]] = {}
        for cache_name, cache in caches.items():
            tiers = tiers_of(cache)
            entries[cache_name] = {tier: TierEntry(held=one.held, reserved=one.reserved) for tier, one in tiers.items()}
            for tier, one in tiers.items():
                for layer, field, shape, field_dtype in page_tensors(layouts[tier], len(one.held), dtype):
                    name = page_name(cache_name, tier, layer, field)
                    if tier == ENCODED and isinstance(cache, CodedCache):
                        read = partial(self._encoded, cache, layer, field)
                    else:
                        read = partial(self._whole, one, one.held, layer, field)
                    parts = partial(self._brought, name, read)
                    sources.add_parts(parts, name, dtype=field_dtype, shape=shape)
                    self.missing.add(name)
        return entries

    def _brought(self, name: str, read: partial[Tensor | None]) -> Iterable[Tensor]:
        self.missing.discard(name)
        whole = read()
        return () if whole is None else (whole,)

    def _encoded(self, cache: CodedCache, layer: int, field: str) -> Tensor | None:
        """One field of encoded pages `[L, rows, ...]`, on the first rank."""
        assert self._codec is not None, "there are encoded pages"
        names = self._spread.whole.fields
        fields = {name: self._whole(cache, cache.encoded.held, layer, name) for name in names}
        if any(values is None for values in fields.values()):
            return None
        return self._codec.encode({name: values for name, values in fields.items() if values is not None})[field]

    def _whole(self, cache: KVCache, held: tuple[int, ...], layer: int, field: str) -> Tensor | None:
        """One field of these pages in one of all layers, `[L, S, ...]`, on the first rank."""
        share = self._spread.share
        shape = (len(held), *self._spread.layout.page_shape(field))
        if layer in share.layers:
            segments = cache.segments(layer - share.layers.start, ranges_of(held))
            mine = torch.cat([segment[field] for segment in segments], dim=1).view(shape)
        else:
            mine = self._stand_in(cache, held, field, shape)
        return self._spread.whole_pages(mine, layer=layer, name=field)

    def _stand_in(self, cache: KVCache, held: tuple[int, ...], field: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor of the right dtype and device, for a rank that has none of a layer's pages."""
        example = cache.segments(0, [range(held[0], held[0] + 1)])[0][field]
        return example.new_empty(shape)
