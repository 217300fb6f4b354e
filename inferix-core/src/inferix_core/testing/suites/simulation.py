"""Worlds without tensors: what the loop asks of a policy while a planner's plans are executed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inferix_core.contracts.kv import KVPolicy
from inferix_core.contracts.scheduler import Planner
from inferix_core.plan import Entry, Op, Pass, Prefill, Progress, Restart


@dataclass(frozen=True, slots=True)
class Beginning:
    """A block begins: of `held` the policy keeps `retained`; `num_latents` have room from then on."""

    held: tuple[int, ...]
    upcoming: range
    retained: tuple[int, ...]
    num_latents: int


@dataclass(frozen=True, slots=True)
class Seeing:
    """An entry of a pass: of `available` it sees `visible`."""

    entry: Entry
    available: tuple[int, ...]
    visible: tuple[int, ...]


Moment = Beginning | Seeing


def passes_of(ops: Sequence[Op]) -> Iterator[Pass]:
    """The passes that the loop makes of a plan, those of prefixes and of what a restart carries over included."""
    for op in ops:
        if isinstance(op, Pass):
            yield op
        elif isinstance(op, Prefill):
            yield Pass((op.entry,), commits=(op.entry.block,), finishes=(op.entry.block,), cache=op.cache)
        elif isinstance(op, Restart) and op.carry is not None:
            yield Pass((op.carry,), commits=(op.carry.block,), cache=op.cache)


def simulate(planner: Planner, policy: KVPolicy, *, num_blocks: int, num_prefix_latents: int = 0) -> Iterator[Moment]:
    """Every question that a world of `num_blocks` blocks asks of the policy, with the answers."""
    caches: dict[str, _Cache] = {}
    for block in range(num_blocks):
        ops = planner.plan(Progress(block, num_prefix_latents, num_blocks))
        for op in ops:
            if isinstance(op, Restart):
                caches.pop(op.cache, None)
            for one in passes_of((op,)):
                yield from caches.setdefault(one.cache, _Cache()).moments(one, policy)


class _Cache:
    def __init__(self) -> None:
        self._held: set[int] = set()
        self._reserved: set[int] = set()

    def moments(self, one: Pass, policy: KVPolicy) -> Iterator[Moment]:
        writing = [entry for entry in one.entries if entry.reads_cache]
        for entry in writing:
            if entry.latents.start not in self._held | self._reserved:
                yield self._begin(entry.latents, policy)
        passing = {latent for entry in writing for latent in entry.latents}
        for entry in writing:
            peers = [other for other in writing if _sees(entry, other)]
            stored = {latent for latent in self._held - passing if latent < entry.latents.stop}
            available = tuple(sorted(stored.union(*(other.latents for other in peers))))
            yield Seeing(entry, available, tuple(policy.visible(entry, available)))
        for block in one.commits:
            latents = {latent for entry in writing if entry.block == block for latent in entry.latents}
            self._reserved -= latents
            self._held |= latents

    def _begin(self, upcoming: range, policy: KVPolicy) -> Beginning:
        held = tuple(sorted(self._held))
        retained = tuple(policy.retained(held, upcoming))
        self._held &= set(retained)
        self._reserved |= set(upcoming)
        return Beginning(held, upcoming, retained, len(self._held) + len(self._reserved))


def _sees(entry: Entry, other: Entry) -> bool:
    return other is entry or (other.block <= entry.block if entry.sees is None else other.block in entry.sees)
