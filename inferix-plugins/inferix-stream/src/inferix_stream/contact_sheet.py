"""A contact sheet: one picture that shows a whole run.

Letters: H height, W width of a frame or a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.video.frame import VideoFrame
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError

from inferix_stream.configuration import ContactSheetConfig
from inferix_stream.digits import GLYPH_ROWS, draw_label, time_label
from inferix_stream.frame_choice import FrameChoice
from inferix_stream.growing_file import GrowingFile, open_for
from inferix_stream.pixels import Pixels, block_pixels
from inferix_stream.png import PngEncoder

if TYPE_CHECKING:
    from inferix_core.events import Block

BACKGROUND = 24
INK = 235
GAP_PIXELS = 8
LABEL_SCALE = 3
LABEL_PIXELS = (GLYPH_ROWS + 3) * LABEL_SCALE


class ContactSheetStreamer:
    """Keeps evenly spaced frames of a run and lays them out as one PNG when it is closed."""

    def __init__(self, config: ContactSheetConfig, *, target: str | Path) -> None:
        self.config = config
        self.target = target
        self._video: VideoFormat | None = None
        self._file: GrowingFile | None = None
        self._choice = FrameChoice(num_cells=config.num_cells, num_frames_total=config.num_frames_total)

    def open(self, video: VideoFormat) -> None:
        """Opens the file; nothing is in it until `close`."""
        self._file = open_for(self.target)
        self._video = video

    def write(self, block: Block) -> None:
        """Copies the frames of the block that are to be shown."""
        pixels = block_pixels(block, self._video)
        if self._file is None:
            raise OutputError(f"No more frames can be taken for '{self.target}': it is closed. Open a new streamer.")
        self._choice.offer(pixels)

    def close(self) -> None:
        """Writes the sheet with the frames seen so far; with none there is no file."""
        if self._file is None or self._video is None:
            return
        file, self._file = self._file, None
        try:
            chosen = self._choice.chosen()
            if chosen:
                _write(
                    file,
                    [picture for _, picture in chosen],
                    times=[index / self._video.fps for index, _ in chosen],
                    columns=self.config.num_columns,
                    cell_pixels=self.config.cell_pixels,
                )
        finally:
            file.close()


def write_contact_sheet(
    path: str | Path, frames: Sequence[Pixels], *, times: Sequence[float], columns: int = 6, cell_pixels: int = 320
) -> None:
    """Writes `frames` (each `[H, W, 3]`, of one size) as one PNG, each over its time in seconds.

    Raises `OutputError` if `path` cannot be written; then there is no new file.
    """
    file = open_for(path)
    try:
        _write(file, frames, times=times, columns=columns, cell_pixels=cell_pixels)
    finally:
        file.close()


def lay_out(frames: Sequence[Pixels], *, times: Sequence[float], columns: int, cell_pixels: int) -> Pixels:
    """The sheet `[H, W, 3]`: rows of `columns` frames, each with its time below it."""
    cells = [fit(frame, longest_side=cell_pixels) for frame in frames]
    height, width = cells[0].shape[:2]
    num_columns = min(columns, len(cells))
    num_rows = -(-len(cells) // num_columns)
    step_down, step_right = height + LABEL_PIXELS + GAP_PIXELS, width + GAP_PIXELS
    sheet = np.full((num_rows * step_down + GAP_PIXELS, num_columns * step_right + GAP_PIXELS, 3), BACKGROUND, np.uint8)
    for place, (cell, time) in enumerate(zip(cells, times, strict=True)):
        row, column = divmod(place, num_columns)
        top, left = GAP_PIXELS + row * step_down, GAP_PIXELS + column * step_right
        sheet[top : top + height, left : left + width] = cell
        label = draw_label(time_label(time), scale=LABEL_SCALE)[:, :width]
        below = top + height + 2 * LABEL_SCALE
        sheet[below : below + label.shape[0], left : left + label.shape[1]][label == 1] = INK
    return sheet


def fit(picture: Pixels, *, longest_side: int) -> Pixels:
    """`picture` `[H, W, 3]` enlarged by a whole factor, or shrunk, to at most `longest_side`."""
    height, width = picture.shape[:2]
    factor = longest_side // max(height, width)
    if factor >= 1:
        return np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)
    share = longest_side / max(height, width)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
        height=max(1, round(height * share)), width=max(1, round(width * share)), interpolation="AREA"
    )
    return frame.to_ndarray().astype(np.uint8, copy=False)


def _write(
    file: GrowingFile, frames: Sequence[Pixels], *, times: Sequence[float], columns: int, cell_pixels: int
) -> None:
    if not frames:
        raise OutputError(f"Cannot write the contact sheet '{file.path}': there is no frame. Give at least one.")
    sheet = lay_out(frames, times=times, columns=columns, cell_pixels=cell_pixels)
    try:
        file.append(PngEncoder(height=sheet.shape[0], width=sheet.shape[1]).encode(sheet))
    except OSError as error:
        raise WriteError(
            f"Writing the contact sheet '{file.path}' failed: {error.strerror or error}. Nothing else is affected. "
            "Free some space, or choose a path on another disk."
        ) from error
