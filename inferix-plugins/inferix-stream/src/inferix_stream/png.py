"""PNG bytes of one picture."""

from __future__ import annotations

from fractions import Fraction

from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from inferix_stream.pixels import Pixels


class PngEncoder:
    """Encodes pictures of one size, losslessly."""

    def __init__(self, *, height: int, width: int, compression_level: int = 3) -> None:
        """Prepares for pictures of `height`×`width` at a zlib level from 0 (fastest) to 9 (smallest)."""
        context = CodecContext.create("png", "w")
        assert isinstance(context, VideoCodecContext), "png is a video codec to FFmpeg"
        context.width, context.height, context.pix_fmt = width, height, "rgb24"
        context.time_base = Fraction(1, 1)
        context.thread_count = 1  # more threads hold pictures back
        context.options = {"compression_level": str(compression_level)}
        self._context = context
        self._num_encoded = 0

    def encode(self, picture: Pixels) -> bytes:
        """The PNG file of `picture` `[H, W, 3]`, contiguous."""
        frame = VideoFrame.from_numpy_buffer(picture, format="rgb24")
        frame.pts = self._num_encoded
        self._num_encoded += 1
        return b"".join(bytes(packet) for packet in self._context.encode(frame))
