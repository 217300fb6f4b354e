"""An animated GIF with a good palette."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from av.video.frame import VideoFrame
from inferix_core.contracts.streamer import VideoFormat

from inferix_stream.configuration import GifConfig
from inferix_stream.muxed_file import MuxedFile
from inferix_stream.palette import PaletteMaker
from inferix_stream.pixels import block_pixels

if TYPE_CHECKING:
    from inferix_core.events import Block

TICKS_PER_SECOND = 100
"""A GIF counts time in hundredths of a second."""

SHORTEST_DELAY_TICKS = 2
"""Viewers show a shorter delay as a tenth of a second."""


class GifStreamer:
    """Writes blocks as a GIF that loops for ever.

    The video is cut into stretches of `palette_seconds`, each with a palette made of all of its
    frames; a stretch is held in memory until it is whole. Delays alternate where the frame rate
    does not divide 100, so that the duration is right; above 50 frames per second frames are left out.
    """

    def __init__(self, config: GifConfig, *, target: str | Path) -> None:
        self.config = config
        self.target = target
        self._video: VideoFormat | None = None
        self._file: MuxedFile | None = None
        self._palette: PaletteMaker | None = None
        self._num_frames_seen = 0
        self._last_ticks = -SHORTEST_DELAY_TICKS
        self._stretch_end = 0.0

    def open(self, video: VideoFormat) -> None:
        """Opens the file and the encoder."""
        file = MuxedFile(
            self.target,
            container="gif",
            codec="gif",
            rate=Fraction(TICKS_PER_SECOND),
            fps=min(video.fps, TICKS_PER_SECOND / SHORTEST_DELAY_TICKS),
            container_options={
                "loop": "0",
                # The last frame has no successor to take its delay from.
                "final_delay": str(max(SHORTEST_DELAY_TICKS, round(TICKS_PER_SECOND / video.fps))),
            },
            codec_options={},
        )
        context = file.stream.codec_context
        context.width, context.height, context.pix_fmt = video.width, video.height, "pal8"
        file.start()
        self._video, self._file = video, file
        self._stretch_end = self.config.palette_seconds * TICKS_PER_SECOND

    def write(self, block: Block) -> None:
        """Takes the block's frames; whole stretches are encoded and appended to the file."""
        pixels = block_pixels(block, self._video)
        assert self._file is not None, "open() sets the file with the format"
        assert self._video is not None, "block_pixels() refuses a format that is not known"
        self._file.check()
        for picture in pixels:
            ticks = round(self._num_frames_seen * TICKS_PER_SECOND / self._video.fps)
            self._num_frames_seen += 1
            if ticks - self._last_ticks < SHORTEST_DELAY_TICKS:
                continue
            if ticks >= self._stretch_end:
                self._finish_stretch()
                self._stretch_end = ticks + self.config.palette_seconds * TICKS_PER_SECOND
            self._last_ticks = ticks
            if self._palette is None:
                self._palette = PaletteMaker(
                    self.config, height=self._video.height, width=self._video.width, is_first=self._file.num_frames == 0
                )
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, TICKS_PER_SECOND)
            self._palette.push(frame)

    def close(self) -> None:
        """Encodes the last stretch and ends the file."""
        if self._file is None:
            return
        try:
            if not self._file.has_failed:
                self._finish_stretch()
        finally:
            self._file.close()

    def _finish_stretch(self) -> None:
        """Encodes the frames that are held, with a palette made of them."""
        if self._palette is None or self._file is None:
            return
        palette, self._palette = self._palette, None
        for frame in palette.indexed_frames():
            self._file.encode(frame)
        self._file.flush()
