"""What layers see of the engine during one pass: attention over pages and drafts, and over conditions.

Letters: B worlds, N tokens of the pass, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from inferix_core.contracts.attention import AttentionBackend, Segment
from inferix_core.contracts.kv import KVCache
from inferix_core.contracts.model import Condition, Conditions, Rotary
from inferix_core.plan import Entry, Pass
from inferix_core.runtime.ranges import ranges_of
from inferix_core.runtime.relevance import MeansCollector
from inferix_core.runtime.sight import Relevance, Sight
from inferix_core.runtime.spread import Spread, Whole

_NO_RELEVANCE: Relevance = {}
_Prepare = Callable[["_View", Tensor, list[Segment]], tuple[Tensor, list[Segment]]]


@dataclass(frozen=True, slots=True)
class _View:
    """What one entry of one world sees, worked out once for all layers.

    `places` are those of the entry's own latents among all that it sees, counted from the earliest.
    """

    tokens: slice
    stored: tuple[range, ...]
    drafts: tuple[slice, ...]
    places: tuple[int, ...]


class PassContext:
    """One pass of a batch of worlds. `caches[b]` holds the pages of world `b`.

    `relevance[b][e]` are the scores that entry `e` of world `b` is shown by, `collectors[b]` gathers the means of what
    world `b` commits. Where `window_relative` is set, keys are kept unrotated and rotated when they are read, by
    their place among what the entry sees. `spread` says which of the `tokens_per_latent`
    tokens and which heads are on this rank; by default all are.
    """

    def __init__(
        self,
        passes: Sequence[Pass],
        *,
        caches: Sequence[KVCache],
        conditions: Sequence[Sequence[Conditions]],
        sight: Sight,
        backend: AttentionBackend,
        tokens_per_latent: int,
        window_relative: bool = False,
        relevance: Sequence[Sequence[Relevance]] | None = None,
        collectors: Sequence[MeansCollector | None] = (),
        spread: Spread | None = None,
    ) -> None:
        self.caches = caches
        self.conditions = conditions
        self.backend = backend
        self.spread = spread = spread or Whole(tokens_per_latent)
        self.window_relative = window_relative
        self.collectors = collectors
        self.positions = [
            [entry.first_position + i for entry in one.entries for i in range(len(entry.latents))] for one in passes
        ]
        self._passes = passes
        self.spans = token_spans(passes[0].entries, spread.tokens_per_latent)
        kept = token_spans(passes[0].entries, spread.num_kept_tokens)
        self.writes = [_writes(one.entries, kept) for one in passes]
        self.views = [
            [
                view_of(entry, one.entries, kept, cache.held, sight, relevance[b][e] if relevance else _NO_RELEVANCE)
                for e, entry in enumerate(one.entries)
            ]
            for b, (one, cache) in enumerate(zip(passes, caches, strict=True))
        ]

    def can_be_cut_by_entry(self) -> bool:
        """Whether entries could run one after another, each seeing of the others only what they have written."""
        if any(collector is not None for collector in self.collectors):
            return False
        for one in self._passes:
            for place, entry in enumerate(one.entries):
                later = one.entries[place + 1 :]
                if not entry.reads_cache or any(_sees(entry, other) for other in later):
                    return False
        return True

    def part(self, world: int, entries: range) -> PassContext:
        """The same pass as far as these entries of one world go, whose tokens are all that layers are given."""
        part = copy(self)
        chosen = [self._passes[world].entries[place] for place in entries]
        kept = token_spans(chosen, self.spread.num_kept_tokens)
        part.caches = self.caches[world : world + 1]
        part.conditions = [[self.conditions[world][place] for place in entries]]
        part.collectors = self.collectors[world : world + 1]
        part.positions = [[entry.first_position + i for entry in chosen for i in range(len(entry.latents))]]
        part.spans = token_spans(chosen, self.spread.tokens_per_latent)
        part.writes = [_writes(chosen, kept)]
        part.views = [
            [replace(self.views[world][place], tokens=span) for place, span in zip(entries, kept, strict=True)]
        ]
        return part

    def at(self, layer: int) -> LayerView:
        """The context of one layer."""
        return LayerView(self, layer)


class LayerView:
    """Implements `CompressedLayerContext` and `ChoosingLayerContext` for one layer of one pass."""

    __slots__ = ("_layer", "_pass")

    def __init__(self, pass_context: PassContext, layer: int) -> None:
        self._pass = pass_context
        self._layer = layer

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        """See `LayerContext.attend`."""
        spread = self._pass.spread
        q, k, v = spread.taken(q, k, v)
        for b, collector in enumerate(self._pass.collectors):
            if collector is not None:
                collector.add(q[b], k[b])
        q, fields = spread.exchange(q, {"k": k, "v": v})
        prepare = None
        if rotary is not None and self._pass.window_relative:
            prepare = self._rotated_by_place(rotary)
        elif rotary is not None:
            q = spread.rotated(rotary, q, self._pass.positions)
            fields = {**fields, "k": spread.rotated(rotary, fields["k"], self._pass.positions)}
        return spread.restore(self._attended(q, fields, scale=q.shape[-1] ** -0.5, prepare=prepare))

    def attend_compressed(
        self,
        q: Tensor,
        fields: Mapping[str, Tensor],
        *,
        expand: Callable[[Segment], tuple[Tensor, Tensor]],
        scale: float,
    ) -> Tensor:
        """See `CompressedLayerContext.attend_compressed`."""

        def expanded(_: _View, queries: Tensor, segments: list[Segment]) -> tuple[Tensor, list[Segment]]:
            num_heads = queries.shape[2]
            pairs = [expand(segment) for segment in segments]
            return queries, [
                {name: spread.heads(x, num_heads=num_heads) for name, x in zip("kv", pair, strict=True)}
                for pair in pairs
            ]

        spread = self._pass.spread
        q, *kept = spread.taken(q, *fields.values())
        q, fields = spread.exchange(q, dict(zip(fields, kept, strict=True)))
        return spread.restore(self._attended(q, fields, scale=scale, prepare=expanded))

    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """See `LayerContext.attend_conditions`."""
        chosen = [
            [[conditions[part] for part in parts if part in conditions] for conditions in of_entries]
            for of_entries in self._pass.conditions
        ]
        return self.attend_chosen(q, chosen, project)

    def attend_chosen(
        self,
        q: Tensor,
        chosen: Sequence[Sequence[Sequence[Condition]]],
        project: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        """See `ChoosingLayerContext.attend_chosen`."""
        scale = q.shape[-1] ** -0.5
        results = []
        for b, of_entries in enumerate(chosen):
            for tokens, conditions in zip(self._pass.spans, of_entries, strict=True):
                queries = q[b : b + 1, tokens]
                segments = [self._projected(condition, project) for condition in conditions]
                attended = self._pass.backend.attend(queries, segments, scale=scale)[0] if segments else None
                results.append(torch.zeros_like(queries) if attended is None else attended)
        return _assembled(results, batch=q.shape[0])

    def _attended(self, q: Tensor, fields: Mapping[str, Tensor], *, scale: float, prepare: _Prepare | None) -> Tensor:
        """Writes what the pass's tokens keep, and attends to all that each entry sees."""
        results = []
        layer = self._layer - self._pass.spread.first_layer
        for b, cache in enumerate(self._pass.caches):
            for tokens, latents in self._pass.writes[b]:
                cache.write(layer, latents, {name: rows[b, tokens] for name, rows in fields.items()})
            for view in self._pass.views[b]:
                segments = cache.segments(layer, view.stored) if view.stored else []
                segments += [{name: rows[b : b + 1, span] for name, rows in fields.items()} for span in view.drafts]
                queries = q[b : b + 1, view.tokens]
                if prepare is not None:
                    queries, segments = prepare(view, queries, segments)
                results.append(self._pass.spread.attend(queries, segments, backend=self._pass.backend, scale=scale))
        return _assembled(results, batch=q.shape[0])

    def _rotated_by_place(self, rotary: Rotary) -> _Prepare:
        """Rotates an entry's queries, and the keys that it sees, as if the earliest of these latents were the first."""

        def rotated(view: _View, queries: Tensor, segments: list[Segment]) -> tuple[Tensor, list[Segment]]:
            spread = self._pass.spread
            result: list[Segment] = []
            start = 0
            for segment in segments:
                end = start + segment["k"].shape[1] // spread.num_kept_tokens
                result.append({**segment, "k": spread.rotated(rotary, segment["k"], [range(start, end)])})
                start = end
            return spread.rotated(rotary, queries, [view.places]), result

        return rotated

    def _projected(self, condition: Condition, project: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Segment:
        if self._layer not in condition.projected:
            condition.projected[self._layer] = project(condition.tokens)
        keys, values = condition.projected[self._layer]
        return {"k": keys, "v": values}


def token_spans(entries: Sequence[Entry], tokens_per_latent: int) -> list[slice]:
    """Where the tokens of each entry lie among those of the pass."""
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


def view_of(
    entry: Entry,
    entries: Sequence[Entry],
    spans: Sequence[slice],
    held: Sequence[int],
    sight: Sight,
    relevance: Relevance,
) -> _View:
    """What an entry sees of a cache with pages of the latents `held` and of the pass, whose entries lie at `spans`."""
    tokens = next(span for other, span in zip(entries, spans, strict=True) if other is entry)
    peers = [other for other in entries if _sees(entry, other)]
    if not entry.reads_cache:
        drafts = tuple(span for other, span in zip(entries, spans, strict=True) if other in peers)
        return _View(tokens, (), drafts, _places(entry, [latent for other in peers for latent in other.latents]))
    in_pass = {latent for other in peers if other.reads_cache for latent in other.latents}
    passing = {latent for other in entries if other.reads_cache for latent in other.latents}
    available = sorted({*in_pass, *(x for x in held if x not in passing and x < entry.latents.stop)})
    visible = sight.visible(entry, available, relevance)
    return _View(tokens, tuple(ranges_of(visible)), (), _places(entry, visible))


def _places(entry: Entry, visible: Sequence[int]) -> tuple[int, ...]:
    own = set(entry.latents)
    return tuple(place for place, latent in enumerate(visible) if latent in own)


def _sees(entry: Entry, other: Entry) -> bool:
    if entry.sees is not None:
        return other is entry or (other.block in entry.sees and other.reads_cache == entry.reads_cache)
    return other is entry or (entry.reads_cache and other.reads_cache and other.block <= entry.block)


def _assembled(results: list[Tensor], *, batch: int) -> Tensor:
    """Entry results, world after world, as `[B, N, H, D]`."""
    if len(results) == 1:
        return results[0]
    num_entries = len(results) // batch
    rows = [torch.cat(results[b * num_entries : (b + 1) * num_entries], dim=1) for b in range(batch)]
    return torch.cat(rows, dim=0)
