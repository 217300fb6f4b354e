"""RTMP messages as chunks, and back (Adobe, "Real Time Messaging Protocol", section 5.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

LONG_TIME = 0xFFFFFF
"""Times from here on, in milliseconds, lie in a field of their own."""

LARGEST_MESSAGE = 16_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its type, its stream, its time in milliseconds, and what it says."""

    type: int
    body: bytes
    stream: int = 0
    milliseconds: int = 0


def chunked(message: Message, *, channel: int, chunk_size: int) -> bytes:
    """The message in chunks of up to `chunk_size` bytes on a channel from 2 to 63."""
    milliseconds = message.milliseconds & 0xFFFFFFFF
    is_long = milliseconds >= LONG_TIME
    extended = struct.pack(">I", milliseconds) if is_long else b""
    size = len(message.body)
    header = struct.pack(">I", min(milliseconds, LONG_TIME))[1:] + struct.pack(">I", size)[1:]
    header += struct.pack("<BI", message.type, message.stream)
    parts = [bytes([channel]) + header + extended + message.body[:chunk_size]]
    parts += [
        bytes([0xC0 | channel]) + extended + message.body[start : start + chunk_size]
        for start in range(chunk_size, size, chunk_size)
    ]
    return b"".join(parts)


@dataclass(slots=True)
class _Channel:
    """What the last header on a channel said, and the part of a message that came until now."""

    milliseconds: int = 0
    size: int = 0
    type: int = 0
    stream: int = 0
    has_long_time: bool = False
    body: bytearray = field(default_factory=bytearray)


class ChunkReader:
    """Puts messages together from bytes as they come."""

    def __init__(self) -> None:
        self.chunk_size = 128
        """Bytes in a chunk, as the sender announces it."""
        self._bytes = bytearray()
        self._channels: dict[int, _Channel] = {}

    def feed(self, data: bytes) -> None:
        """Takes what came."""
        self._bytes += data

    def next_message(self) -> Message | None:
        """The next whole message; None if more bytes are needed. Raises `ValueError` for what is no RTMP."""
        while True:
            try:
                message, length = self._chunk()
            except IndexError:
                return None
            del self._bytes[:length]
            if message is not None:
                return message

    def _chunk(self) -> tuple[Message | None, int]:
        """One chunk: the message that it ends, if any, and its length. `IndexError` if it is not all there."""
        data = self._bytes
        form, number, place = data[0] >> 6, data[0] & 0x3F, 1
        if number < 2:
            number, place = 64 + int.from_bytes(self._part(1, number + 1), "little"), number + 2
        known = self._channels.get(number, _Channel())
        header = self._part(place, (11, 7, 3, 0)[form])
        place += len(header)
        time = int.from_bytes(header[:3]) if form < 3 else 0
        size = int.from_bytes(header[3:6]) if form < 2 else known.size
        if size > LARGEST_MESSAGE:
            raise ValueError(f"a message of {size} bytes is announced, more than {LARGEST_MESSAGE}")
        has_long_time = time == LONG_TIME if form < 3 else known.has_long_time
        if has_long_time:
            time = int.from_bytes(self._part(place, 4))
            place += 4
        part = self._part(place, min(self.chunk_size, size - len(known.body)))
        if form < 3:
            known.milliseconds = time if form == 0 else known.milliseconds + time
        known.size, known.has_long_time = size, has_long_time
        known.type = header[6] if form < 2 else known.type
        known.stream = int.from_bytes(header[7:11], "little") if form == 0 else known.stream
        self._channels[number] = known
        known.body += part
        if len(known.body) < size:
            return None, place + len(part)
        body, known.body = bytes(known.body), bytearray()
        return Message(known.type, body, known.stream, known.milliseconds), place + len(part)

    def _part(self, start: int, length: int) -> bytes:
        if start + length > len(self._bytes):
            raise IndexError(start + length)
        return bytes(self._bytes[start : start + length])
