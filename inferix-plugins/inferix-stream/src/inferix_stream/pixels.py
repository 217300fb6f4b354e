"""The pixels of a block as numpy arrays, checked against the format that was announced.

Letters: T frames, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from numpy.typing import NDArray

if TYPE_CHECKING:
    from inferix_core.events import Block

Pixels = NDArray[np.uint8]


def block_pixels(block: Block, video: VideoFormat | None) -> Pixels:
    """The block's frames `[T, H, W, 3]`, contiguous; shares the tensor's memory where that is.

    Raises `OutputError` if `video` is None (the streamer is not open) or the frames are not of it.
    """
    if video is None:
        raise OutputError(f"Block {block.index} cannot be written: the streamer is not open. Call open() first.")
    pixels: Pixels = block.frames.numpy()
    if pixels.ndim != 4 or pixels.shape[1:] != (video.height, video.width, 3) or pixels.dtype != np.uint8:
        raise OutputError(
            f"Block {block.index} has frames of shape {pixels.shape} and type {pixels.dtype}, but the streamer "
            f"was opened for uint8 of shape (T, {video.height}, {video.width}, 3). "
            "Open a new streamer for another size."
        )
    return np.ascontiguousarray(pixels)


def pad_to_even(pixels: Pixels) -> Pixels:
    """`pixels` `[T, H, W, 3]` with odd H or W rounded up by repeating the last row or column."""
    odd_rows, odd_columns = pixels.shape[1] % 2, pixels.shape[2] % 2
    if not odd_rows and not odd_columns:
        return pixels
    return np.pad(pixels, ((0, 0), (0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
