"""H.264 in an mp4 that is playable while it grows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from inferix_core.contracts.streamer import VideoFormat

from inferix_stream.configuration import Mp4Config
from inferix_stream.muxed_file import MuxedFile
from inferix_stream.pixels import block_pixels, pad_to_even
from inferix_stream.remux import remux_unfragmented

if TYPE_CHECKING:
    from inferix_core.events import Block

# ISO/IEC 23091-2 code points. The matrix is BT.601 for every size: it is what a reader assumes that
# ignores the tag, and one that reads the tag is right anyway.
BT709, BT601_MATRIX, LIMITED_RANGE = 1, 6, 1


class Mp4Streamer:
    """Writes blocks as H.264, yuv420p, in fragments of `fragment_seconds`.

    Each fragment is on disk as soon as it is complete, so the file can be watched while it grows
    and survives a killed process; `close` adds what the encoder still holds. Odd sizes are rounded
    up to even ones by repeating the last row or column.
    """

    def __init__(self, config: Mp4Config, *, target: str | Path) -> None:
        self.config = config
        self.target = target
        self._video: VideoFormat | None = None
        self._file: MuxedFile | None = None
        self._reformatter = VideoReformatter()

    def open(self, video: VideoFormat) -> None:
        """Opens the file and the encoder."""
        rate = Fraction(video.fps).limit_denominator(1001)
        config = self.config
        file = MuxedFile(
            self.target,
            container="mp4",
            codec="libx264",
            rate=rate,
            fps=video.fps,
            container_options={
                "movflags": "frag_keyframe+empty_moov+default_base_moof",
                "frag_duration": str(round(config.fragment_seconds * 1_000_000)),
            },
            codec_options={
                "preset": config.preset,
                "crf": f"{config.crf:g}",
                "rc-lookahead": str(config.lookahead_frames),
                # Frames are encoded in the order of time: one waits for no later one, so that less is in
                # flight when a run is killed, and the file is hardly larger.
                "bf": "0",
                # Keyframes come by the clock alone, since each begins a fragment.
                "sc_threshold": "0",
            },
        )
        context = file.stream.codec_context
        context.width, context.height = video.width + video.width % 2, video.height + video.height % 2
        context.pix_fmt = "yuv420p"
        context.gop_size = max(1, round(config.keyframe_seconds * video.fps))
        context.thread_count = config.num_threads
        context.color_primaries = context.color_trc = BT709
        context.colorspace, context.color_range = BT601_MATRIX, LIMITED_RANGE
        file.start()
        self._video, self._file = video, file

    def write(self, block: Block) -> None:
        """Encodes the block's frames; returns when every finished fragment is with the operating system."""
        pixels = pad_to_even(block_pixels(block, self._video))
        assert self._file is not None, "open() sets the file with the format"
        self._file.check()
        time_base = 1 / self._file.stream.codec_context.framerate
        for picture in pixels:
            # The buffer is read before the call returns, so the frame may borrow the block's memory.
            frame = self._reformatter.reformat(VideoFrame.from_numpy_buffer(picture, format="rgb24"), format="yuv420p")
            frame.pts, frame.time_base = self._file.num_frames, time_base
            self._file.encode(frame)
        self._file.flush()

    def close(self) -> None:
        """Writes the last fragment and, if so configured, turns the file into an ordinary mp4."""
        if self._file is not None and self._file.close() and not self.config.fragmented:
            remux_unfragmented(self._file.path)
