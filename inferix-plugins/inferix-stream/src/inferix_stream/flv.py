"""H.264 as FLV tags, which is how RTMP carries it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.stream import VideoStream
from inferix_core.contracts.streamer import VideoFormat

from inferix_stream.encoders import EncoderSettings, LiveEncoder, encoder_name
from inferix_stream.pending_bytes import PendingBytes
from inferix_stream.pixels import Pixels

FILE_HEADER_SIZE = 9 + 4
TAG_HEADER_SIZE = 11
TAG_END_SIZE = 4


@dataclass(frozen=True, slots=True)
class FlvTag:
    """One tag: 9 is video and 18 data; its time in milliseconds, and its body."""

    type: int
    milliseconds: int
    body: bytes


class FlvEncoder:
    """Encodes frames into tags; what players need to know comes before the first frame's."""

    def __init__(self, video: VideoFormat, settings: EncoderSettings) -> None:
        """Opens the encoder; raises `OutputError` if it refuses the size."""
        self._pending = PendingBytes()
        self._has_header = False
        self._container: OutputContainer = av.open(
            self._pending, "w", format="flv", options={"flvflags": "no_duration_filesize", "flush_packets": "1"}
        )
        rate = Fraction(video.fps).limit_denominator(1001)
        stream = self._container.add_stream(encoder_name("h264", settings), rate=rate)
        assert isinstance(stream, VideoStream), "H.264 is video"
        self._stream = stream
        self._encoder = LiveEncoder("h264", video, settings, context=stream.codec_context)

    def encode(self, pixels: Pixels, *, media_seconds: float) -> list[FlvTag]:
        """The tags of a frame `[H, W, 3]` that is shown `media_seconds` after the first."""
        for packet in self._encoder.encode(pixels, media_seconds=media_seconds):
            packet.stream = self._stream
            self._container.mux(packet)
        data = self._pending.value()
        self._pending.clear()
        start = 0 if self._has_header else FILE_HEADER_SIZE
        self._has_header = self._has_header or len(data) > 0
        return list(_tags(data[start:]))

    def close(self) -> None:
        """Frees the encoder and the muxer."""
        self._container.close()


def _tags(data: bytes) -> Iterator[FlvTag]:
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place + 1 : place + 4])
        milliseconds = int.from_bytes(data[place + 7 : place + 8] + data[place + 4 : place + 7])
        start = place + TAG_HEADER_SIZE
        yield FlvTag(data[place], milliseconds, data[start : start + size])
        place = start + size + TAG_END_SIZE
