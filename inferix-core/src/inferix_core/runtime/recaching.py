"""What a world remembers, written anew under a new prompt: clean passes over the latents whose pages it holds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from inferix_core.errors import PlanError
from inferix_core.plan import Entry, Op, Pass, Prefill, Restart
from inferix_core.runtime.ranges import ranges_of
from inferix_core.runtime.state import FlyingBlock, WorldState

if TYPE_CHECKING:
    from inferix_core.contracts.model import Conditions
    from inferix_core.contracts.scheduler import Planner


def is_due(state: WorldState) -> bool:
    """Whether a prompt waits for the next block of a world that remembers blocks of an earlier one."""
    return bool(state.committed) and any(
        signal.prompt is not None or signal.negative_prompt is not None for signal in state.pending
    )


def passes(
    state: WorldState, cache: str, held: Sequence[int], conditions: Conditions, *, planner: Planner
) -> Iterator[Pass]:
    """Clean passes over the `held` latents of `cache`, block after block, each as the plan has committed it.

    A block is ready in `state.clean` when its pass comes. Of one that the policy has given up in part the rest is
    passed, at its own positions. Raises `PlanError` for a latent that no plan of the world commits.
    """
    plans = _Plans(state, planner)
    for run in ranges_of(held):
        start = run.start
        while start < run.stop:
            entry, step_size = plans.committing(start, cache)
            own = range(start, min(run.stop, entry.latents.stop))
            clean = torch.stack([state.committed[latent] for latent in own])
            state.clean[entry.block] = FlyingBlock(clean, conditions, ())
            position = entry.first_position + own.start - entry.latents.start
            part = replace(entry, latents=own, first_position=position, sees=None, num_pinned_latents=0)
            yield Pass((part,), commits=(part.block,), cache=cache, step_size=step_size)
            start = own.stop


class _Plans:
    """The plans of a world so far, looked up by latent: a few of them, however old it is."""

    def __init__(self, state: WorldState, planner: Planner) -> None:
        self._state = state
        self._planner = planner

    def committing(self, latent: int, cache: str) -> tuple[Entry, float | None]:
        """The entry that has made the pages of a latent, the last one if it was carried over a restart.

        With it comes the size of the step that the network was told.
        """
        block = bisect_left(range(self._state.num_finished), latent + 1, key=self._block_end)
        for num_finished in (block + 1, block):
            if num_finished <= self._state.num_finished:
                for entry, step_size in _committed_by(self._plan(num_finished), cache):
                    if latent in entry.latents:
                        return entry, step_size
        raise PlanError(f"Latent {latent} is held, but no plan of this world commits it.")

    def _block_end(self, block: int) -> int:
        """The latent after the last of a finished block."""
        ends = [
            entry.latents.stop
            for op in self._plan(block)
            for entry in (op.entries if isinstance(op, Pass) else (op.entry,) if isinstance(op, Prefill) else ())
            if entry.block == block
        ]
        if not ends:
            raise PlanError(f"The plan of block {block} does not pass it.")
        return ends[0]

    def _plan(self, num_finished: int) -> Sequence[Op]:
        return self._planner.plan(replace(self._state.progress, num_finished=num_finished))


def _committed_by(ops: Sequence[Op], cache: str) -> Iterator[tuple[Entry, float | None]]:
    for op in ops:
        if isinstance(op, Pass) and op.cache == cache:
            committed = (entry for entry in op.entries if entry.block in op.commits and entry.reads_cache)
            yield from ((entry, op.step_size) for entry in committed)
        elif isinstance(op, Prefill) and op.cache == cache:
            yield op.entry, op.step_size
        elif isinstance(op, Restart) and op.cache == cache and op.carry is not None:
            yield op.carry, None
