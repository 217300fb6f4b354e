"""Worlds without tensors: what the loop asks of a policy while a planner's plans are executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from inferix_core.contracts.scheduler import Planner
from inferix_core.plan import Entry, Op, Pass, Prefill, Progress, Restart
from inferix_core.runtime.sight import Relevance, Sight

Scoring = Callable[[Sequence[int]], Relevance]
"""What makes the scores of the latents that are held when a block begins."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A block begins: of `held` the policy keeps `retained`; `num_latents` have room from then on."""

    held: tuple[int, ...]
    upcoming: range
    retained: tuple[int, ...]
    num_latents: int
    relevance: Relevance


@dataclass(frozen=True, slots=True)
class Seeing:
    """An entry of a pass: of `available` it sees `visible`; `relevance` is as it was when its block began."""

    entry: Entry
    available: tuple[int, ...]
    visible: tuple[int, ...]
    relevance: Relevance


Moment = Beginning | Seeing


def scattered_scores(latents: Sequence[int]) -> Relevance:
    """A score for each latent that does not follow its index; some have the same."""
    return {latent: float(latent * 7 % 5) for latent in latents}


def passes_of(ops: Sequence[Op]) -> Iterator[Pass]:
    """The passes that the loop makes of a plan, those of prefixes and of what a restart carries over included."""
    for op in ops:
        if isinstance(op, Pass):
            yield op
        elif isinstance(op, Prefill):
            yield Pass((op.entry,), commits=(op.entry.block,), finishes=(op.entry.block,), cache=op.cache)
        elif isinstance(op, Restart) and op.carry is not None:
            yield Pass((op.carry,), commits=(op.carry.block,), cache=op.cache)


def simulate(
    planner: Planner,
    sight: Sight,
    *,
    num_blocks: int,
    num_prefix_latents: int = 0,
    scoring: Scoring = scattered_scores,
) -> Iterator[Moment]:
    """Every question that a world of `num_blocks` blocks asks of the policy, with the answers."""
    caches: dict[str, _Cache] = {}
    for block in range(num_blocks):
        ops = planner.plan(Progress(block, num_prefix_latents, num_blocks))
        for op in ops:
            if isinstance(op, Restart):
                caches.pop(op.cache, None)
            for one in passes_of((op,)):
                yield from caches.setdefault(one.cache, _Cache(sight, scoring)).moments(one)


class _Cache:
    def __init__(self, sight: Sight, scoring: Scoring) -> None:
        self._sight = sight
        self._scoring = scoring
        self._held: set[int] = set()
        self._reserved: set[int] = set()
        self._relevance: dict[int, Relevance] = {}

    def moments(self, one: Pass) -> Iterator[Moment]:
        writing = [entry for entry in one.entries if entry.reads_cache]
        for entry in writing:
            if entry.latents.start not in self._held | self._reserved:
                yield self._begin(entry)
        passing = {latent for entry in writing for latent in entry.latents}
        for entry in writing:
            peers = [other for other in writing if _sees(entry, other)]
            stored = {latent for latent in self._held - passing if latent < entry.latents.stop}
            available = tuple(sorted(stored.union(*(other.latents for other in peers))))
            relevance = self._relevance.get(entry.block, {})
            visible = tuple(self._sight.visible(entry, available, relevance))
            yield Seeing(entry, available, visible, relevance)
        for block in one.commits:
            latents = {latent for entry in writing if entry.block == block for latent in entry.latents}
            self._reserved -= latents
            self._held |= latents

    def _begin(self, entry: Entry) -> Beginning:
        held = tuple(sorted(self._held))
        relevance = self._relevance[entry.block] = self._scoring(held)
        retained = tuple(self._sight.retained(held, entry.latents, relevance))
        self._held &= set(retained)
        self._reserved |= set(entry.latents)
        return Beginning(held, entry.latents, retained, len(self._held) + len(self._reserved), relevance)


def _sees(entry: Entry, other: Entry) -> bool:
    return other is entry or (other.block <= entry.block if entry.sees is None else other.block in entry.sees)
