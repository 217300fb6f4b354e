"""A palette made of a stretch of video, and its frames in that palette."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from inferix_stream.configuration import GifConfig


class PaletteMaker:
    """FFmpeg's palette filters over one stretch: frames go in, then all come out in one palette."""

    def __init__(self, config: GifConfig, *, height: int, width: int, is_first: bool) -> None:
        # FFmpeg's encoder takes a palette that equals the file's first for "no change since the last
        # frame", also when another one lay between. The colour of the transparent entry is never
        # seen, so a different one there keeps later palettes apart from the first.
        transparent = "lime" if is_first else "black"
        self._graph = Graph()
        self._source = self._graph.add_buffer(
            width=width, height=height, format=VideoFormat("rgb24"), time_base=Fraction(1, 100)
        )
        both = self._graph.add("split")
        maker = self._graph.add("palettegen", f"max_colors={config.num_colours}:transparency_color={transparent}")
        user = self._graph.add("paletteuse", f"dither={config.dither}:diff_mode=rectangle")
        self._sink = self._graph.add("buffersink")
        self._source.link_to(both)
        both.link_to(maker, 0, 0)
        both.link_to(user, 1, 0)
        maker.link_to(user, 0, 1)
        user.link_to(self._sink)
        self._graph.configure()

    def push(self, frame: VideoFrame) -> None:
        """Takes an rgb24 frame, which is held until `indexed_frames`."""
        self._source.push(frame)

    def indexed_frames(self) -> Iterator[VideoFrame]:
        """The frames as pal8, in order, with the time stamps they came with. Called once."""
        self._source.push(None)
        while True:
            try:
                frame = self._sink.pull()
            except (av.EOFError, av.BlockingIOError):
                return
            assert isinstance(frame, VideoFrame), "a graph of video filters gives video"
            yield frame
