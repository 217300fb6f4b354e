"""What layers see of the engine during one pass: attention over pages and drafts, and over conditions.

Letters: B worlds, N tokens of the pass, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from inferix_core.contracts.attention import AttentionBackend, Segment
from inferix_core.contracts.kv import KVCache, KVPolicy
from inferix_core.contracts.model import Conditions, Rotary
from inferix_core.plan import Entry, Pass


@dataclass(frozen=True, slots=True)
class _View:
    """What one entry of one world sees, worked out once for all layers."""

    tokens: slice
    stored: tuple[range, ...]
    drafts: tuple[slice, ...]


class PassContext:
    """One pass of a batch of worlds. `caches[b]` holds the pages of world `b`."""

    def __init__(
        self,
        passes: Sequence[Pass],
        *,
        caches: Sequence[KVCache],
        conditions: Sequence[Sequence[Conditions]],
        policy: KVPolicy,
        backend: AttentionBackend,
        tokens_per_latent: int,
    ) -> None:
        self.caches = caches
        self.conditions = conditions
        self.backend = backend
        self.positions = [
            [entry.first_position + i for entry in one.entries for i in range(len(entry.latents))] for one in passes
        ]
        self.spans = _token_spans(passes[0].entries, tokens_per_latent)
        self.writes = [_writes(one.entries, self.spans) for one in passes]
        self.views = [
            [_view(entry, one.entries, self.spans, cache, policy) for entry in one.entries]
            for one, cache in zip(passes, caches, strict=True)
        ]

    def at(self, layer: int) -> LayerView:
        """The context of one layer."""
        return LayerView(self, layer)


class LayerView:
    """Implements `LayerContext` for one layer of one pass."""

    __slots__ = ("_layer", "_pass")

    def __init__(self, pass_context: PassContext, layer: int) -> None:
        self._pass = pass_context
        self._layer = layer

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        """See `LayerContext.attend`."""
        if rotary is not None:
            q = rotary.rotate(q, self._pass.positions)
            k = rotary.rotate(k, self._pass.positions)
        scale = q.shape[-1] ** -0.5
        results = []
        for b, cache in enumerate(self._pass.caches):
            for tokens, latents in self._pass.writes[b]:
                cache.write(self._layer, latents, {"k": k[b, tokens], "v": v[b, tokens]})
            for view in self._pass.views[b]:
                segments = cache.segments(self._layer, view.stored) if view.stored else []
                segments += [_slice(k, v, b, tokens) for tokens in view.drafts]
                results.append(self._pass.backend.attend(q[b : b + 1, view.tokens], segments, scale=scale)[0])
        return _assembled(results, batch=q.shape[0])

    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """See `LayerContext.attend_conditions`."""
        scale = q.shape[-1] ** -0.5
        results = []
        for b, of_entries in enumerate(self._pass.conditions):
            for tokens, conditions in zip(self._pass.spans, of_entries, strict=True):
                segments = self._projected(conditions, parts, project)
                results.append(self._pass.backend.attend(q[b : b + 1, tokens], segments, scale=scale)[0])
        return _assembled(results, batch=q.shape[0])

    def _projected(
        self, conditions: Conditions, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> list[Segment]:
        segments: list[Segment] = []
        for part in parts:
            condition = conditions.get(part)
            if condition is None:
                continue
            if self._layer not in condition.projected:
                condition.projected[self._layer] = project(condition.tokens)
            keys, values = condition.projected[self._layer]
            segments.append({"k": keys, "v": values})
        return segments


def _token_spans(entries: Sequence[Entry], tokens_per_latent: int) -> list[slice]:
    ends = [0]
    for entry in entries:
        ends.append(ends[-1] + len(entry.latents) * tokens_per_latent)
    return [slice(start, end) for start, end in pairwise(ends)]


def _writes(entries: Sequence[Entry], spans: Sequence[slice]) -> list[tuple[slice, range]]:
    """The drafts that go to the cache, adjacent blocks as one."""
    writes: list[tuple[slice, range]] = []
    for entry, span in zip(entries, spans, strict=True):
        if not entry.reads_cache:
            continue
        if writes and writes[-1][0].stop == span.start and writes[-1][1].stop == entry.latents.start:
            tokens, latents = writes[-1]
            writes[-1] = (slice(tokens.start, span.stop), range(latents.start, entry.latents.stop))
        else:
            writes.append((span, entry.latents))
    return writes


def _view(entry: Entry, entries: Sequence[Entry], spans: Sequence[slice], cache: KVCache, policy: KVPolicy) -> _View:
    tokens = next(span for other, span in zip(entries, spans, strict=True) if other is entry)
    peers = [other for other in entries if _sees(entry, other)]
    if not entry.reads_cache:
        drafts = tuple(span for other, span in zip(entries, spans, strict=True) if other in peers)
        return _View(tokens, (), drafts)
    in_pass = {latent for other in peers if other.reads_cache for latent in other.latents}
    passing = {latent for other in entries if other.reads_cache for latent in other.latents}
    available = sorted({*in_pass, *(x for x in cache.held if x not in passing and x < entry.latents.stop)})
    return _View(tokens, tuple(_ranges(policy.visible(entry, available))), ())


def _sees(entry: Entry, other: Entry) -> bool:
    if entry.sees is not None:
        return other is entry or (other.block in entry.sees and other.reads_cache == entry.reads_cache)
    return other is entry or (entry.reads_cache and other.reads_cache and other.block <= entry.block)


def _ranges(latents: Sequence[int]) -> list[range]:
    """Ascending numbers as the fewest contiguous ranges."""
    ranges: list[range] = []
    for latent in latents:
        if ranges and ranges[-1].stop == latent:
            ranges[-1] = range(ranges[-1].start, latent + 1)
        else:
            ranges.append(range(latent, latent + 1))
    return ranges


def _slice(k: Tensor, v: Tensor, batch: int, tokens: slice) -> Segment:
    return {"k": k[batch : batch + 1, tokens], "v": v[batch : batch + 1, tokens]}


def _assembled(results: list[Tensor], *, batch: int) -> Tensor:
    """Entry results, world after world, as `[B, N, H, D]`."""
    if len(results) == 1:
        return results[0]
    num_entries = len(results) // batch
    rows = [torch.cat(results[b * num_entries : (b + 1) * num_entries], dim=1) for b in range(batch)]
    return torch.cat(rows, dim=0)
