"""Which world gets the next block: the one whose viewers would run out of frames first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferix_serve.hall.live_world import LiveWorld

_MARGIN, _SPARE_SECONDS = 1.25, 0.03
_NUM_RECENT = 8


def lookahead(playing: Sequence[LiveWorld], *, block_seconds: float) -> float:
    """How long before its deadline a world's next block may begin.

    Blocks are made as late as is safe, since what is told to a world reaches the next block that begins. In the worst
    case all deadlines fall together, so a world must begin early enough for one block of every world that plays. More
    than a block's own duration helps nobody: then the machine is too slow.
    """
    costs = [live.block_seconds.longest(_NUM_RECENT) for live in playing]
    if any(cost is None for cost in costs):
        return block_seconds
    return min(block_seconds, _MARGIN * sum(cost for cost in costs if cost is not None) + _SPARE_SECONDS)


def next_due(playing: Sequence[LiveWorld], *, ahead: float) -> tuple[LiveWorld | None, float]:
    """The world with the earliest deadline among those that need a block; else None and seconds until one does."""
    remaining = [(live.clock.remaining(), live) for live in playing]
    if not remaining:
        return None, math.inf
    seconds, live = min(remaining, key=lambda pair: pair[0])
    return (live, 0.0) if seconds <= ahead else (None, seconds - ahead)
