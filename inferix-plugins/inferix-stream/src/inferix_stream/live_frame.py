"""One frame on its way to viewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferix_core.events import Block

from inferix_stream.pixels import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """A frame `[H, W, 3]`, its number in the stream, and where it stands in which block."""

    pixels: Pixels
    number: int
    block_index: int
    is_last_of_block: bool
    signal_ids: tuple[str, ...]


def live_frames(block: Block, pixels: Pixels, *, first_number: int) -> Sequence[LiveFrame]:
    """The frames of a block whose pixels `[T, H, W, 3]` nobody else will change."""
    last = len(pixels) - 1
    return [
        LiveFrame(picture, first_number + place, block.index, place == last, block.signal_ids)
        for place, picture in enumerate(pixels)
    ]
