"""Planners say in which order blocks are passed and at which levels; solvers update latents: the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from inferix_core.plan import Level, Op, Progress

if TYPE_CHECKING:
    from torch import Tensor


class Planner(Protocol):
    """Built as `implementation(config)`. Stateless: the same progress gives the same ops."""

    @property
    def levels(self) -> Sequence[Level]:
        """The schedule from noise to clean; a block begins with noise at the first."""

    @property
    def num_block_latents(self) -> int:
        """The most latents that have room and no pages at once: of all blocks that have begun and are not committed.

        A block that a pass commits counts until that pass has run, beside one that begins in it.
        """

    def plan(self, progress: Progress) -> Sequence[Op]:
        """The ops up to and including the one that finishes block `progress.num_finished`.

        Raises `PlanError` where the progress cannot be planned (a horizon that is needed and missing,
        a prefix that does not fit the blocks); an empty sequence means that the horizon is reached.
        """


class Solver(Protocol):
    """Built as `implementation(config)`."""

    def update(
        self,
        latents: Tensor,
        prediction: Tensor,
        *,
        level: Level,
        target: Level,
        noise: Callable[[], Tensor],
        history: Any,
    ) -> tuple[Tensor, Any]:
        """The latents `[L, C, h, w]` at `target`, from those at `level` and the network's prediction.

        `noise()` draws fresh noise of the same shape, keyed by the target's index; a solver that calls it
        twice gets the same noise twice. `history` is what the last update of this block returned, None at first. It is
        plain data, so that worlds can be saved (see `Decoder.decode`), and going on from an equal one gives the same
        latents, bit for bit.
        """
