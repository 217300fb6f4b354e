"""What the hall tells whoever listens, from the engine's thread; listeners must return at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Input:
    """A signal that a block reflects: its id, and when it arrived (`time.monotonic`)."""

    id: str
    received: float


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A block on its way to viewers.

    `frames` are `[T, H, W, 3]`, numbered from `first_frame` on without end or repetition; `start` is the play time at
    which the first is due; `seconds` is how long the block took, `late` how long viewers waited for it, `is_missed`
    whether anybody saw that, `slack` how long before its deadline it was there (negative: after it; None where it had
    none). `epoch` rises with every rewind.
    """

    index: int
    frames: Frames
    first_frame: int
    start: float
    epoch: int
    inputs: tuple[Input, ...]
    seconds: float
    late: float
    is_missed: bool
    slack: float | None
    kv_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Rewound:
    """The world went back to when `num_blocks` blocks were finished; `still` is the last frame before that, if kept."""

    num_blocks: int
    epoch: int
    still: Frames | None


@dataclass(frozen=True, slots=True)
class Changed:
    """The world's state as plain data, see `LiveWorld.view`."""

    view: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gone:
    """The world lives no more: "closed" for good, or "asleep" on the disk."""

    how: str


Event = Made | Rewound | Changed | Gone
Listener = Callable[[str, Event], None]
"""Called with the world's name and what happened to it."""
