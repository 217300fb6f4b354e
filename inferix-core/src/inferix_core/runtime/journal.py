"""The boundaries between blocks that a world can be rewound to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from inferix_core.runtime.state import WorldState
    from inferix_core.runtime.world import World


class Journal:
    """The states at the last boundaries, the present one included; their pages are shared where the store can.

    A boundary keeps alive the pages that the world has given up since: at most `num_rewind_blocks` blocks of them.
    """

    def __init__(self, num_rewind_blocks: int) -> None:
        self._num_rewind_blocks = num_rewind_blocks
        self._boundaries: deque[WorldState] = deque()

    def boundary(self, state: WorldState) -> WorldState | None:
        """The world as it is now, to be kept with `keep`; None where nothing can be rewound anyway.

        Raises `UnsupportedError` or `CapacityError` as `KVCache.fork` does.
        """
        return state.fork() if self._num_rewind_blocks else None

    def keep(self, boundary: WorldState) -> None:
        """Takes the newest boundary and lets go of those that are too old."""
        self._boundaries.append(boundary)
        while len(self._boundaries) > self._num_rewind_blocks + 1:
            self._boundaries.popleft().close()

    def holds(self, num_blocks: int) -> bool:
        """Whether the world can be rewound to when `num_blocks` were finished."""
        return any(state.num_finished == num_blocks for state in self._boundaries)

    def state_at(self, num_blocks: int, *, num_finished: int) -> WorldState:
        """A state of its own at that boundary, which stays in the journal; later boundaries are forgotten.

        Raises `UnsupportedError` that says how far back it goes for a world with `num_finished` blocks.
        """
        if not self.holds(num_blocks):
            raise UnsupportedError(self._refusal(num_blocks, num_finished))
        state = next(one for one in self._boundaries if one.num_finished == num_blocks).fork()
        while self._boundaries[-1].num_finished > num_blocks:
            self._boundaries.pop().close()
        return state

    def close(self) -> None:
        """Forgets all boundaries."""
        while self._boundaries:
            self._boundaries.pop().close()

    def _refusal(self, num_blocks: int, num_finished: int) -> str:
        asked = f"Rewinding to block {num_blocks} was asked for; the world has {num_finished} finished blocks"
        if not self._num_rewind_blocks:
            return f"{asked} and keeps no journal. Set world.num_rewind_blocks to how far back it shall reach."
        if num_blocks > num_finished:
            return f"{asked}. Rewind to {num_finished} or fewer."
        return (
            f"{asked}, and its journal goes back to block {self._boundaries[0].num_finished}. "
            f"world.num_rewind_blocks is {self._num_rewind_blocks}: raise it before the world begins."
        )


def keep_boundaries(worlds: Sequence[World]) -> None:
    """Enters the boundary that every world has reached into its journal, or none of them."""
    made: list[WorldState | None] = []
    try:
        made.extend(world.journal.boundary(world.state) for world in worlds)
    except BaseException:
        for boundary in made:
            if boundary is not None:
                boundary.close()
        raise
    for world, boundary in zip(worlds, made, strict=True):
        if boundary is not None:
            world.journal.keep(boundary)
