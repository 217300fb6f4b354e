"""The pages of caches, to a file and back.

Letters: L latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch

from inferix_core.runtime.coded import CodedCache
from inferix_core.runtime.ranges import ranges_of
from inferix_core.worldfile.manifest import ENCODED, EXACT, TierEntry, page_name

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.kv import KVCache
    from inferix_core.plan import KVLayout
    from inferix_core.worldfile.tensors import TensorSources


def tiers_of(cache: KVCache) -> dict[str, KVCache]:
    """The caches that a cache consists of: where there is a codec, one for exact and one for encoded pages."""
    if isinstance(cache, CodedCache):
        return {EXACT: cache.exact, ENCODED: cache.encoded}
    return {EXACT: cache}


def add_pages(
    caches: Mapping[str, KVCache], layouts: Mapping[str, KVLayout], dtype: torch.dtype, sources: TensorSources
) -> dict[str, dict[str, TierEntry]]:
    """Adds the committed pages of all caches, field by field; `layouts` are those of the tiers."""
    entries: dict[str, dict[str, TierEntry]] = {}
    for name, cache in caches.items():
        tiers = tiers_of(cache)
        entries[name] = {tier: TierEntry(held=one.held, reserved=one.reserved) for tier, one in tiers.items()}
        for tier, one in tiers.items():
            for layer, field, shape, field_dtype in page_tensors(layouts[tier], len(one.held), dtype):
                parts = partial(_field, one, layer, field)
                sources.add_parts(parts, page_name(name, tier, layer, field), dtype=field_dtype, shape=shape)
    return entries


def page_tensors(
    layout: KVLayout, num_latents: int, dtype: torch.dtype
) -> Iterable[tuple[int, str, tuple[int, ...], torch.dtype]]:
    """Layer, field, shape `[L, rows, ...]` and dtype of every tensor of pages; none where no page is held."""
    for layer in range(layout.num_layers if num_latents else 0):
        for name, field in layout.fields.items():
            field_dtype = dtype if field.dtype is None else getattr(torch, field.dtype)
            yield layer, name, (num_latents, *layout.page_shape(name)), field_dtype


def fill(cache: KVCache, tier: TierEntry, num_layers: int, pages: Callable[[int], Mapping[str, Tensor]]) -> None:
    """Puts pages into an empty cache and reserves what was reserved.

    `pages` brings one layer's fields `[L, rows, ...]`. Raises `CapacityError` where there is no room.
    """
    if room := sorted({*tier.held, *tier.reserved}):
        cache.reserve(room)
    if not tier.held:
        return
    runs = ranges_of(tier.held)
    for layer in range(num_layers):
        fields, start = pages(layer), 0
        for run in runs:
            rows = slice(start, start + len(run))
            cache.write(layer, run, {name: values[rows].flatten(0, 1) for name, values in fields.items()})
            start += len(run)
    for run in runs:
        cache.commit(run)


def _field(cache: KVCache, layer: int, field: str) -> Iterable[Tensor]:
    """One field of all pages that are held in one layer, segment by segment."""
    return (segment[field] for segment in cache.segments(layer, ranges_of(cache.held)))
