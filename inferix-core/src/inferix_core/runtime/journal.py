"""The boundaries between blocks that a world can be rewound to."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from inferix_core.runtime.state import WorldState
    from inferix_core.runtime.world import World


@dataclass(frozen=True, slots=True)
class Boundary:
    """The world between two blocks, without room for what was in flight: `reserved` are its latents in each cache."""

    state: WorldState
    reserved: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, state: WorldState) -> Boundary:
        """The world as it is now. Raises `UnsupportedError` or `CapacityError` as `KVCache.fork` does."""
        return cls(state.shelved(), {name: cache.reserved for name, cache in state.caches.items()})

    @property
    def num_blocks(self) -> int:
        """How many blocks were finished."""
        return self.state.num_finished

    def live(self) -> WorldState:
        """A state to go on from; the boundary stays as it is."""
        return self.state.fork(reserved=self.reserved)


class Journal:
    """The states at the last boundaries, the present one included; their pages are shared where the store can.

    A boundary keeps alive the pages that the world has given up since: at most `num_rewind_blocks` blocks of them.
    """

    def __init__(self, num_rewind_blocks: int) -> None:
        self._num_rewind_blocks = num_rewind_blocks
        self._boundaries: deque[Boundary] = deque()

    def boundary(self, state: WorldState) -> Boundary | None:
        """The world as it is now, to be kept with `keep`; None where nothing can be rewound anyway.

        Raises `UnsupportedError` or `CapacityError` as `KVCache.fork` does.
        """
        return Boundary.of(state) if self._num_rewind_blocks else None

    def keep(self, boundary: Boundary) -> None:
        """Takes the newest boundary and lets go of those that are too old."""
        self._boundaries.append(boundary)
        while len(self._boundaries) > self._num_rewind_blocks + 1:
            self._boundaries.popleft().state.close()

    def holds(self, num_blocks: int) -> bool:
        """Whether the world can be rewound to when `num_blocks` were finished."""
        return any(boundary.num_blocks == num_blocks for boundary in self._boundaries)

    def state_at(self, num_blocks: int, *, num_finished: int) -> WorldState:
        """A state of its own at that boundary, which stays in the journal.

        Raises `UnsupportedError` that says how far back it goes for a world with `num_finished` blocks.
        """
        if not self.holds(num_blocks):
            raise UnsupportedError(self._refusal(num_blocks, num_finished))
        return next(one for one in self._boundaries if one.num_blocks == num_blocks).live()

    def forget_after(self, num_blocks: int) -> None:
        """Lets go of the boundaries after the one where `num_blocks` were finished, which is held."""
        while self._boundaries[-1].num_blocks > num_blocks:
            self._boundaries.pop().state.close()

    def close(self) -> None:
        """Forgets all boundaries."""
        while self._boundaries:
            self._boundaries.pop().state.close()

    def _refusal(self, num_blocks: int, num_finished: int) -> str:
        asked = f"Rewinding to block {num_blocks} was asked for; the world has {num_finished} finished blocks"
        if not self._num_rewind_blocks:
            return f"{asked} and keeps no journal. Set world.num_rewind_blocks to how far back it shall reach."
        if num_blocks > num_finished:
            return f"{asked}. Rewind to {num_finished} or fewer."
        return (
            f"{asked}, and its journal goes back to block {self._boundaries[0].num_blocks}. "
            f"world.num_rewind_blocks is {self._num_rewind_blocks}: raise it before the world begins."
        )


def keep_boundaries(worlds: Sequence[World]) -> None:
    """Enters the boundary that every world has reached into its journal, or none of them."""
    made: list[Boundary | None] = []
    try:
        made.extend(world.journal.boundary(world.state) for world in worlds)
    except BaseException:
        for boundary in made:
            if boundary is not None:
                boundary.state.close()
        raise
    for world, boundary in zip(worlds, made, strict=True):
        if boundary is not None:
            world.journal.keep(boundary)
