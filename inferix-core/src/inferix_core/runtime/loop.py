"""The one loop: it executes the ops of a plan for a batch of worlds and knows no model.

Letters: B worlds, L latents of a pass, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inferix_core.contracts.model import PassInput
from inferix_core.errors import PlanError
from inferix_core.events import PassRun, Timings
from inferix_core.plan import Emit, Entry, Op, Pass, Prefill, Restart, Update
from inferix_core.runtime import recaching, steering
from inferix_core.runtime.anchor import anchor_in
from inferix_core.runtime.context import PassContext
from inferix_core.runtime.finished import Finished, emit
from inferix_core.runtime.relevance import Means, MeansCollector
from inferix_core.runtime.sight import Relevance, Sight
from inferix_core.runtime.spread import Sharded, Spread, Whole
from inferix_core.runtime.state import FlyingBlock, WorldState
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from inferix_core.contracts.attention import AttentionBackend
    from inferix_core.contracts.kv import KVCache, KVCodec, KVPolicy, KVStore, RelevancePolicy
    from inferix_core.contracts.model import Model
    from inferix_core.contracts.profiler import Profiler
    from inferix_core.contracts.scheduler import Planner, Solver
    from inferix_core.relay import Relay
    from inferix_core.runtime.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Parts:
    """The components that the loop works with.

    `needs_relevance` says that the policy chooses by content; `window_relative` that keys are rotated when they are
    read, by their place among what a block sees, and not when they are written; `recaches` that a new prompt
    rewrites the pages that are held. `spread` is how worlds lie over ranks, None where there is one;
    `whole_codec` keeps whole pages as the store's codec keeps those of this rank, where these are parts of them.
    """

    model: Model
    planner: Planner
    solver: Solver
    store: KVStore
    policy: KVPolicy | RelevancePolicy
    backend: AttentionBackend
    relay: Relay
    device: torch.device
    profilers: tuple[Profiler, ...] = ()
    needs_relevance: bool = False
    window_relative: bool = False
    recaches: bool = False
    spread: Sharded | None = None
    whole_codec: KVCodec | None = None


class Loop:
    """Executes plans. Holds no state of any world."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._spread: Spread = parts.spread or Whole(parts.model.layout.tokens_per_latent)
        self._sight = Sight(parts.policy, needs_relevance=parts.needs_relevance)

    @property
    def spread(self) -> Spread:
        """How worlds lie over ranks."""
        return self._spread

    def run(
        self,
        states: Sequence[WorldState],
        plans: Sequence[Sequence[Op]],
        *,
        transaction: Transaction,
        timings: Timings,
    ) -> list[list[Finished]]:
        """Executes one plan for each world in lockstep; returns the blocks that finished, for each world.

        The plans have the same shape (`lockstep.plan_shape`).
        """
        finished: list[list[Finished]] = [[] for _ in states]
        with self._spread.collective():
            for ops in zip(*plans, strict=True):
                self._execute(states, ops, finished, transaction, timings)
        for state, blocks in zip(states, finished, strict=True):
            state.num_finished += len(blocks)
            _forget_dropped(state)
        return finished

    def _execute(
        self,
        states: Sequence[WorldState],
        ops: Sequence[Op],
        finished: list[list[Finished]],
        transaction: Transaction,
        timings: Timings,
    ) -> None:
        first = ops[0]
        if isinstance(first, Pass):
            self._pass(states, [op for op in ops if isinstance(op, Pass)], finished, transaction, timings)
        elif isinstance(first, Prefill):
            passes = [
                self._begin_prefix(state, op) for state, op in zip(states, ops, strict=True) if isinstance(op, Prefill)
            ]
            self._pass(states, passes, finished, transaction, timings)
        elif isinstance(first, Restart):
            for state, op in zip(states, ops, strict=True):
                if isinstance(op, Restart):
                    _restart(state, op)
            if first.carry is not None:
                passes = [_pass_of_carry(op) for op in ops if isinstance(op, Restart)]
                self._pass(states, passes, finished, transaction, timings)
        elif isinstance(first, Emit):
            for state, blocks, op in zip(states, finished, ops, strict=True):
                if isinstance(op, Emit):
                    emit(state, blocks, op)

    def _begin_prefix(self, state: WorldState, op: Prefill) -> Pass:
        """The given latents of a prefix block as a block in flight, and the clean pass over it."""
        latents = op.entry.latents
        if state.prefix is None or latents.stop > state.prefix.shape[0]:
            raise PlanError(f"The plan prefills latents {latents.start}–{latents.stop - 1}, which were not given.")
        block = op.entry.block
        conditions, signal_ids = steering.take(state, block=block, model=self._parts.model)
        state.flying[block] = FlyingBlock(state.prefix[latents.start : latents.stop], conditions, signal_ids)
        return Pass((op.entry,), commits=(block,), finishes=(block,), cache=op.cache, step_size=op.step_size)

    def _pass(
        self,
        states: Sequence[WorldState],
        passes: Sequence[Pass],
        finished: list[list[Finished]],
        transaction: Transaction,
        timings: Timings,
    ) -> None:
        for state, one in zip(states, passes, strict=True):
            self._prepare(state, one, finished, transaction, timings)
        with timings.span("encode"):
            for state, one in zip(states, passes, strict=True):
                for entry in one.entries:
                    self._begin(state, entry)
                    _pin(state, entry)
        with timings.span("commit" if passes[0].is_clean_only else "pass"):
            caches = [self._begin_kv(state, one, transaction) for state, one in zip(states, passes, strict=True)]
            run = PassRun([state.id for state in states], passes)
            collectors = [self._collector(one) for one in passes]
            with self._parts.relay.run_pass(run):
                prediction = self._forward(states, passes, caches, collectors)
            for b, (state, one) in enumerate(zip(states, passes, strict=True)):
                if prediction is not None:
                    _gather(state, one.entries, prediction[b])
                for update in one.updates:
                    self._update(state, update, one.entries)
                for block in one.commits:
                    latents = _latents_of(block, one.entries)
                    transaction.commit(caches[b], latents)
                    _remember(state, block, latents)
                if (collector := collectors[b]) is not None:
                    means = state.means.get(one.cache, Means())
                    state.means[one.cache] = collector.added_to(means, mean=self._spread.mean)
                for block in one.finishes:
                    flying = state.flying.pop(block)
                    finished[b].append(
                        Finished(block, _latents_of(block, one.entries), flying.latents, flying.signal_ids)
                    )
                    if block not in one.commits:
                        state.clean[block] = flying

    def _prepare(
        self,
        state: WorldState,
        one: Pass,
        finished: list[list[Finished]],
        transaction: Transaction,
        timings: Timings,
    ) -> None:
        """Before a block begins: what a replay has for it, and its past under a new prompt, where that is asked for."""
        for entry in one.entries:
            if entry.block in state.flying or entry.block in state.clean:
                continue
            steering.script_to_pending(state, block=entry.block, model=self._parts.model)
            if self._parts.recaches and recaching.is_due(state):
                self._recache(state, finished, transaction, timings)
            return  # further blocks of the pass begin with it

    def _recache(
        self, state: WorldState, finished: list[list[Finished]], transaction: Transaction, timings: Timings
    ) -> None:
        """New pages for all that the world holds, under the conditions that wait, without their action."""
        conditions = self._parts.model.encode(Signal(), state.upcoming)
        state.clean = {block: replace(clean, conditions=conditions) for block, clean in state.clean.items()}
        for name, cache in list(state.caches.items()):
            transaction.replace_cache(state, name, self._parts.store.create())
            state.means.pop(name, None)
            clean = recaching.passes(state, name, cache.held, conditions, planner=self._parts.planner)
            for one in clean:
                self._pass([state], [one], finished, transaction, timings)

    def _forward(
        self,
        states: Sequence[WorldState],
        passes: Sequence[Pass],
        caches: Sequence[KVCache],
        collectors: Sequence[MeansCollector | None],
    ) -> Tensor | None:
        """The prediction `[B, L, C, h, w]`, None if nobody uses it."""
        model = self._parts.model
        blocks = [[_block(state, entry) for entry in one.entries] for state, one in zip(states, passes, strict=True)]
        conditions = [[block.conditions for block in of_world] for of_world in blocks]
        context = PassContext(
            passes,
            caches=caches,
            conditions=conditions,
            sight=self._sight,
            backend=self._parts.backend,
            tokens_per_latent=model.layout.tokens_per_latent,
            spread=self._spread,
            window_relative=self._parts.window_relative,
            relevance=[
                [block.relevance.get(one.cache, {}) for block in of_world]
                for of_world, one in zip(blocks, passes, strict=True)
            ],
            collectors=collectors,
        )
        pass_input = PassInput(
            latents=_stacked([[block.latents for block in of_world] for of_world in blocks]),
            times=[[e.level.time for e in one.entries for _ in e.latents] for one in passes],
            positions=context.positions,
            conditions=conditions,
            branches=[entry.branch for entry in passes[0].entries],
            entry_lengths=[len(entry.latents) for entry in passes[0].entries],
            step_size=passes[0].step_size,
            num_blocks_left=[
                [None if state.horizon is None else state.horizon - entry.block for entry in one.entries]
                for state, one in zip(states, passes, strict=True)
            ],
        )
        return self._spread.forward(model, pass_input, context, predicts=passes[0].predicts)

    def _begin(self, state: WorldState, entry: Entry) -> None:
        """Gives a block its noise and conditions at its first pass: later signals do not reach it."""
        if entry.block in state.flying or entry.block in state.clean:
            return
        level = self._parts.planner.levels[0]
        noise = self._noise(state, entry.latents, level.index)
        conditions, signal_ids = steering.take(state, block=entry.block, model=self._parts.model)
        state.flying[entry.block] = FlyingBlock(noise, conditions, signal_ids)

    def _begin_kv(self, state: WorldState, one: Pass, transaction: Transaction) -> KVCache:
        """Makes room for the blocks that this pass brings to the cache for the first time."""
        cache = state.caches.get(one.cache)
        if cache is None:
            cache = state.caches[one.cache] = self._parts.store.create()
        for entry in one.entries:
            held = cache.held
            known = (*held, *cache.reserved)
            if not entry.reads_cache or entry.latents.start in known:
                continue
            relevance = self._relevance(state, one.cache, entry.block)
            keep = set(self._sight.retained(held, entry.latents, relevance))
            if len(keep) < len(held):
                cache.drop([latent for latent in held if latent not in keep])
            with self._spread.in_step():  # shares differ by a token, and so may the room for them
                transaction.reserve(cache, entry.latents)
        return cache

    def _relevance(self, state: WorldState, cache: str, block: int) -> Relevance:
        """The scores that a block is shown by in a cache for all its passes, worked out when it begins there."""
        if not self._parts.needs_relevance:
            return {}
        blocks = state.flying if block in state.flying else state.clean
        scores = state.means.get(cache, Means()).scores()
        blocks[block] = replace(blocks[block], relevance={**blocks[block].relevance, cache: scores})
        return scores

    def _collector(self, one: Pass) -> MeansCollector | None:
        """What gathers the means of the pages that a pass commits, where the policy asks for them."""
        if not self._parts.needs_relevance or not one.commits:
            return None
        tokens_per_latent, start = self._spread.num_attending_tokens, 0
        parts = []
        for entry in one.entries:
            end = start + len(entry.latents) * tokens_per_latent
            if entry.block in one.commits and entry.reads_cache:
                parts.append((entry.latents, slice(start, end)))
            start = end
        return MeansCollector(parts)

    def _update(self, state: WorldState, update: Update, entries: Sequence[Entry]) -> None:
        flying = state.flying[update.block]
        if flying.gathered is None:
            raise PlanError(f"Block {update.block} is updated, but no pass predicted anything for it.")
        latents, history = self._parts.solver.update(
            flying.latents,
            flying.gathered,
            level=update.level,
            target=update.target,
            noise=lambda: self._noise(state, _latents_of(update.block, entries), update.target.index),
            history=flying.history,
        )
        state.flying[update.block] = replace(flying, latents=latents, history=history, gathered=None)

    def _noise(self, state: WorldState, latents: range, level: int) -> Tensor:
        shape = self._parts.model.geometry.latent_shape
        noise = state.noise.draw(latents, level=level, shape=shape)
        if self._parts.device.type == "cuda":
            noise = noise.pin_memory()  # a copy from pageable memory would wait for all that the device has to do
        return noise.to(self._parts.device, non_blocking=True).to(self._parts.model.latent_dtype)


def _restart(state: WorldState, op: Restart) -> None:
    """Drops every page, and puts the clean latents that are carried over where a pass finds them."""
    if state.flying or state.clean:
        blocks = ", ".join(map(str, sorted((*state.flying, *state.clean))))
        raise PlanError(f"The plan restarts positions while blocks are not finished and committed: {blocks}.")
    if op.carry is not None:
        absent = [latent for latent in op.carry.latents if latent not in state.committed]
        if absent or state.conditions is None:
            raise PlanError(f"The plan carries over latents {absent}, whose pages are not held: widen the KV policy.")
        carried = [state.committed[latent] for latent in op.carry.latents]
        if op.from_anchor:
            if (anchor := anchor_in(state.decoder_state)) is None:
                raise PlanError("The plan restarts from an anchor, but the block before has emitted none.")
            carried[0] = anchor.to(carried[0])
        state.clean[op.carry.block] = FlyingBlock(torch.stack(carried), state.conditions, ())
    if (cache := state.caches.get(op.cache)) is not None:
        cache.drop([*cache.held, *cache.reserved])


def _pass_of_carry(op: Restart) -> Pass:
    assert op.carry is not None, "plans in lockstep agree on what is carried over"
    return Pass((op.carry,), commits=(op.carry.block,), cache=op.cache)


def _remember(state: WorldState, block: int, latents: range) -> None:
    """Keeps the clean latents of a block that has become pages."""
    clean = state.flying[block] if block in state.flying else state.clean.pop(block)
    state.committed.update(zip(latents, clean.latents, strict=True))


def _forget_dropped(state: WorldState) -> None:
    """Lets go of what belonged to pages that are gone."""
    held = {name: cache.held for name, cache in state.caches.items()}
    kept = {latent for latents in held.values() for latent in latents}
    state.committed = {latent: clean for latent, clean in state.committed.items() if latent in kept}
    state.means = {name: means.of(held[name]) for name, means in state.means.items()}


def _block(state: WorldState, entry: Entry) -> FlyingBlock:
    return state.flying[entry.block] if entry.block in state.flying else state.clean[entry.block]


def _pin(state: WorldState, entry: Entry) -> None:
    """Puts the prefix's latents in the place of the block's first ones, where the plan pins them."""
    count, start = entry.num_pinned_latents, entry.latents.start
    if count == 0:
        return
    if state.prefix is None or start + count > state.prefix.shape[0]:
        raise PlanError(f"The plan pins latents {start}–{start + count - 1} of a prefix, which were not given.")
    blocks = state.flying if entry.block in state.flying else state.clean
    block = blocks[entry.block]
    pinned = torch.cat([state.prefix[start : start + count].to(block.latents), block.latents[count:]])
    blocks[entry.block] = replace(block, latents=pinned)


def _latents_of(block: int, entries: Sequence[Entry]) -> range:
    return next(entry.latents for entry in entries if entry.block == block)


def _stacked(latents: list[list[Tensor]]) -> Tensor:
    rows = [of_world[0] if len(of_world) == 1 else torch.cat(of_world, dim=0) for of_world in latents]
    return rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(rows)


def _gather(state: WorldState, entries: Sequence[Entry], prediction: Tensor) -> None:
    """Adds each entry's weighted prediction `[L, C, h, w]` to what its block has gathered."""
    start = 0
    for entry in entries:
        end = start + len(entry.latents)
        if entry.weight != 0.0 and entry.block in state.flying:
            flying = state.flying[entry.block]
            part = prediction[start:end] if entry.weight == 1.0 else prediction[start:end] * entry.weight
            gathered = part if flying.gathered is None else flying.gathered + part
            state.flying[entry.block] = replace(flying, gathered=gathered)
        start = end
