"""The shapes of the passes that a plan makes under a policy, worked out without a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inferix_core.contracts.workload import EntryShape, PassShape
from inferix_core.errors import PlanError
from inferix_core.plan import Op, Pass, Prefill, Progress, Restart
from inferix_core.runtime.context import token_spans, view_of

if TYPE_CHECKING:
    from inferix_core.contracts.scheduler import Planner
    from inferix_core.runtime.sight import Sight

_GROWING_BLOCKS = 8
"""How many blocks old a world is taken to be whose cache has no bound."""


@dataclass(frozen=True, slots=True)
class BlockShape:
    """The passes that finish one block; `num_held_latents` is the most that all caches held meanwhile."""

    passes: tuple[PassShape, ...]
    num_held_latents: int

    @property
    def num_seen(self) -> int:
        """Pairs of latents of which one attends to the other, over all passes."""
        return sum(e.num_latents * e.num_visible_latents for one in self.passes for e in one.entries)


def steady_block(planner: Planner, sight: Sight) -> BlockShape:
    """The dearest block of a world whose window is full; of a clip the only one; without a bound the eighth.

    The first is none of them where there are others: it may begin several blocks in flight.
    """
    capacity = sight.policy.capacity(planner.num_block_latents)
    num_blocks = _GROWING_BLOCKS if capacity is None else -(-capacity // planner.num_block_latents) + 2
    blocks = block_shapes(planner, sight, num_blocks=num_blocks)
    return max(reversed(blocks[1:] or blocks), key=lambda block: block.num_seen)


def block_shapes(planner: Planner, sight: Sight, *, num_blocks: int) -> list[BlockShape]:
    """The first blocks of a world without a prefix and an end; fewer where the planner makes a clip."""
    caches: dict[str, _Cache] = {}
    blocks: list[BlockShape] = []
    for index in range(num_blocks):
        try:
            ops = planner.plan(Progress(num_finished=index))
        except PlanError:
            if not blocks:
                raise
            break
        if not ops:
            break
        shapes, most = [], 0
        for op in ops:
            if isinstance(op, Restart):
                caches.pop(op.cache, None)
            for one in _passes(op):
                cache = caches.setdefault(one.cache, _Cache())
                shapes.append(cache.passed(one, sight))
                most = max(most, sum(each.num_latents for each in caches.values()))
        blocks.append(BlockShape(tuple(shapes), most))
    return blocks


def _passes(op: Op) -> Sequence[Pass]:
    """What an op passes through the network."""
    if isinstance(op, Pass):
        return (op,)
    entry = op.entry if isinstance(op, Prefill) else op.carry if isinstance(op, Restart) else None
    if entry is None or not isinstance(op, Prefill | Restart):
        return ()
    return (Pass((entry,), commits=(entry.block,), cache=op.cache),)


@dataclass(slots=True)
class _Cache:
    """The latents that a cache holds, and those that it has room for."""

    held: list[int] = field(default_factory=list)
    reserved: set[int] = field(default_factory=set)

    @property
    def num_latents(self) -> int:
        return len(self.held) + len(self.reserved)

    def passed(self, one: Pass, sight: Sight) -> PassShape:
        """The shape of a pass, after which it holds what that commits."""
        for entry in one.entries:
            if not entry.reads_cache or entry.latents.start in (*self.held, *self.reserved):
                continue
            self.held = sorted(sight.retained(self.held, entry.latents, self._relevance()))
            self.reserved |= set(entry.latents)
        spans = token_spans(one.entries, 1)
        shapes = []
        for entry in one.entries:
            view = view_of(entry, one.entries, spans, self.held, sight, self._relevance())
            num_drafts = sum(span.stop - span.start for span in view.drafts)
            shapes.append(EntryShape(len(entry.latents), sum(map(len, view.stored)) + num_drafts))
        committed = {
            x for entry in one.entries if entry.block in one.commits and entry.reads_cache for x in entry.latents
        }
        self.held = sorted({*self.held, *committed})
        self.reserved -= committed
        return PassShape(tuple(shapes), predicts=one.predicts)

    def _relevance(self) -> dict[int, float]:
        """No latent matters more than another: how many are seen does not depend on which."""
        return dict.fromkeys(self.held, 0.0)
