"""The first half of making a block: its plan is executed, and clean latents are left for the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferix_core.errors import PluginError, UnsupportedError
from inferix_core.runtime.loop import Loop, Parts
from inferix_core.runtime.reach import advice_at_the_end
from inferix_core.runtime.threads import cpu_threads

if TYPE_CHECKING:
    from inferix_core.events import Timings
    from inferix_core.plan import Op
    from inferix_core.runtime.finished import Finished
    from inferix_core.runtime.spread import Spread
    from inferix_core.runtime.state import WorldState
    from inferix_core.runtime.transaction import Transaction


class Denoising:
    """Executes the plans of blocks with `num_threads` CPU threads; None is as many as the caller has."""

    def __init__(self, parts: Parts, *, num_threads: int | None = None) -> None:
        self._planner = parts.planner
        self._loop = Loop(parts)
        self._num_threads = num_threads

    @property
    def spread(self) -> Spread:
        """How worlds lie over ranks."""
        return self._loop.spread

    def plan(self, state: WorldState) -> Sequence[Op]:
        """The plan of the world's next block. Raises `UnsupportedError` where its horizon is reached."""
        plan = self._planner.plan(state.progress)
        if not plan:
            raise UnsupportedError(
                f"World '{state.id}' has made all {state.num_finished} blocks of its plan. "
                f"{advice_at_the_end(self._planner, state.progress)}"
            )
        return plan

    def run(
        self,
        states: Sequence[WorldState],
        plans: Sequence[Sequence[Op]],
        *,
        transaction: Transaction,
        timings: Timings,
    ) -> list[Finished]:
        """The block that each world finishes, its plans having the same shape. Runs in inference mode."""
        with cpu_threads(self._num_threads):
            finished = self._loop.run(states, plans, transaction=transaction, timings=timings)
        for blocks in finished:
            if len(blocks) != 1:
                raise PluginError(f"A plan must finish one block; the planner's finished {len(blocks)}.")
        return [blocks[0] for blocks in finished]
