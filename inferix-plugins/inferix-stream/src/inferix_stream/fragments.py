"""H.264 as a header and fragments of an mp4, each a keyframe and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.stream import VideoStream
from inferix_core.contracts.streamer import VideoFormat

from inferix_stream.encoders import EncoderSettings, LiveEncoder, encoder_name
from inferix_stream.pending_bytes import PendingBytes
from inferix_stream.pixels import Pixels

HEADER_BOXES = (b"ftyp", b"moov")
FRAGMENT_BOXES = (b"styp", b"sidx", b"moof", b"mdat")


class FragmentEncoder:
    """Encodes frames into one track whose times run on from fragment to fragment.

    `header` is what a player needs before any fragment; it is there once the first fragment is.
    """

    def __init__(self, video: VideoFormat, settings: EncoderSettings) -> None:
        """Opens the encoder; raises `OutputError` if it refuses the size."""
        self.header = b""
        self._pending = PendingBytes()
        self._container: OutputContainer = av.open(
            self._pending,
            "w",
            format="mp4",
            options={
                "movflags": "empty_moov+default_base_moof+frag_keyframe+skip_trailer",
                "flush_packets": "1",
            },
        )
        rate = Fraction(video.fps).limit_denominator(1001)
        stream = self._container.add_stream(encoder_name("h264", settings), rate=rate)
        assert isinstance(stream, VideoStream), "H.264 is video"
        self._stream = stream
        self._encoder = LiveEncoder("h264", video, settings, context=stream.codec_context)

    def encode(self, pixels: Pixels, *, media_seconds: float, is_first: bool) -> bytes:
        """Encodes a frame `[H, W, 3]`; the fragment that it ends by being the first of the next, or nothing."""
        for packet in self._encoder.encode(pixels, media_seconds=media_seconds, force_keyframe=is_first):
            packet.stream = self._stream
            self._container.mux(packet)
        return self._fragment()

    def finish(self) -> bytes:
        """The last fragment."""
        for packet in self._encoder.flush():
            packet.stream = self._stream
            self._container.mux(packet)
        self._container.close()
        return self._fragment()

    def close(self) -> None:
        """Frees the encoder and the muxer; what they hold is lost."""
        self._container.close()

    def _fragment(self) -> bytes:
        parts = list(_boxes(self._pending.value()))
        self._pending.clear()
        self.header += b"".join(box for name, box in parts if name in HEADER_BOXES)
        return b"".join(box for name, box in parts if name in FRAGMENT_BOXES)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and the bytes of each box that lies in `data`."""
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        assert size >= 8, "the muxer writes boxes of known size"
        yield data[place + 4 : place + 8], data[place : place + size]
        place += size
