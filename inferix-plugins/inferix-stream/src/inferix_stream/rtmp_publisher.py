"""A client that publishes one stream to an RTMP server.

FFmpeg's own RTMP has no time-outs when it sends, and PyAV connects while it holds the interpreter's lock: a server
that hangs would stop the world. So FFmpeg makes the FLV and this sends it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from inferix_core.errors import OutputError

from inferix_stream.amf0 import Value, decoded, encoded
from inferix_stream.rtmp_chunks import ChunkReader, Message, chunked

SET_CHUNK_SIZE, USER_CONTROL, DATA, COMMAND = 1, 4, 18, 20
PING, PONG = b"\x00\x06", b"\x00\x07"
CONTROL_CHANNEL, COMMAND_CHANNEL, MEDIA_CHANNEL = 2, 3, 6
CONNECT, CREATE_STREAM = 1, 4  # transactions that are waited for
CHUNK_SIZE = 4096
HANDSHAKE_SIZE = 1536
PORTS = {"rtmp": 1935, "rtmps": 443}


class RtmpError(OSError):
    """A server that refuses the stream or speaks another protocol."""


@dataclass(frozen=True, slots=True)
class RtmpAddress:
    """Where a stream goes: `application` and `stream` are the parts of the path."""

    host: str
    port: int
    is_secure: bool
    application: str
    stream: str

    @property
    def application_url(self) -> str:
        """The address without the stream's name, as servers want it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rtmps' if self.is_secure else 'rtmp'}://{host}:{self.port}/{self.application}"


def parsed_address(url: str) -> RtmpAddress:
    """The parts of rtmp://host[:port]/application/name. Raises `OutputError` if one is missing."""
    form = "Write rtmp://host[:port]/application/name."
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme.lower()]
    except (ValueError, KeyError) as error:
        raise OutputError(f"'{url}' is no RTMP address ({error}). {form}") from error
    application, _, stream = parts.path.strip("/").rpartition("/")
    if not parts.hostname or not application or not stream:
        raise OutputError(f"'{url}' names no host, no application or no stream. {form}")
    query = f"?{parts.query}" if parts.query else ""
    return RtmpAddress(parts.hostname, port, parts.scheme.lower() == "rtmps", application, stream + query)


class RtmpPublisher:
    """A connection on which one stream is published. Raises `OSError` when the server is slow, gone, or refuses."""

    def __init__(self, address: RtmpAddress, *, connect_seconds: float, stall_seconds: float) -> None:
        """Connects and publishes; returns when the server has accepted the stream."""
        self._address = address
        self._reader = ChunkReader()
        self._stream = 1
        deadline = time.monotonic() + connect_seconds
        self._socket = socket.create_connection((address.host, address.port), timeout=connect_seconds)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.is_secure:
                context = ssl.create_default_context()
                self._socket = context.wrap_socket(self._socket, server_hostname=address.host)
            self._shake_hands(deadline)
            self._publish(deadline)
            self._socket.settimeout(stall_seconds)
        except BaseException:
            self._socket.close()
            raise

    def send(self, type_number: int, body: bytes, *, milliseconds: int) -> None:
        """Sends the body of one FLV tag of type 9 (video) or 18 (data)."""
        if type_number == DATA:
            body = encoded("@setDataFrame") + body
        self._send(Message(type_number, body, self._stream, milliseconds), MEDIA_CHANNEL)
        self._hear_what_came()

    def finish(self) -> None:
        """Ends the stream and the connection."""
        try:
            self._command("FCUnpublish", 6, None, self._address.stream)
            self._command("deleteStream", 7, None, self._stream)
            self._socket.shutdown(socket.SHUT_WR)
        finally:
            self._socket.close()

    def close(self) -> None:
        """Drops the connection without a word. May be called from another thread, whose call then fails."""
        with contextlib.suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _shake_hands(self, deadline: float) -> None:
        self._socket.sendall(b"\x03" + bytes(8) + os.urandom(HANDSHAKE_SIZE - 8))
        answer = bytearray()
        while len(answer) < 1 + 2 * HANDSHAKE_SIZE:
            answer += self._received(deadline)
            if answer[0] != 3:
                raise RtmpError(0, "the server speaks no RTMP")
        self._socket.sendall(answer[1 : 1 + HANDSHAKE_SIZE])
        self._reader.feed(bytes(answer[1 + 2 * HANDSHAKE_SIZE :]))

    def _publish(self, deadline: float) -> None:
        address = self._address
        self._send(Message(SET_CHUNK_SIZE, CHUNK_SIZE.to_bytes(4)), CONTROL_CHANNEL, chunk_size=128)
        about = {
            "app": address.application,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; Inferix)",
            "tcUrl": address.application_url,
        }
        self._command("connect", CONNECT, about)
        self._result(CONNECT, deadline)
        self._command("releaseStream", 2, None, address.stream)
        self._command("FCPublish", 3, None, address.stream)
        self._command("createStream", CREATE_STREAM, None)
        number = self._result(CREATE_STREAM, deadline)[-1]
        if not isinstance(number, float):
            raise RtmpError(0, "the server gave the stream no number")
        self._stream = int(number)
        self._command("publish", 5, None, address.stream, "live", stream=self._stream)
        self._wait_for(lambda values: _status(values) == "NetStream.Publish.Start", deadline)

    def _result(self, transaction: int, deadline: float) -> Sequence[Value]:
        return self._wait_for(lambda values: values[:2] == ["_result", transaction], deadline)

    def _wait_for(self, is_it: Callable[[list[Value]], bool], deadline: float) -> Sequence[Value]:
        """The first command that `is_it`. Raises `RtmpError` with the server's own words if it says no."""
        while True:
            while (message := self._next_message()) is not None:
                values = self._heard(message)
                if is_it(values):
                    return values
            self._reader.feed(self._received(deadline))

    def _next_message(self) -> Message | None:
        try:
            return self._reader.next_message()
        except ValueError as error:
            raise RtmpError(0, f"the server speaks no RTMP: {error}") from error

    def _heard(self, message: Message) -> list[Value]:
        """Does what a message asks for; the values of a command."""
        if message.type == SET_CHUNK_SIZE:
            self._reader.chunk_size = max(1, int.from_bytes(message.body[:4]) & 0x7FFFFFFF)
        elif message.type == USER_CONTROL and message.body[:2] == PING:
            self._send(Message(USER_CONTROL, PONG + message.body[2:6]), CONTROL_CHANNEL)
        elif message.type == COMMAND:
            try:
                values = decoded(message.body)
            except ValueError as error:
                raise RtmpError(0, f"the server speaks no RTMP: {error}") from error
            _raise_refusal(values)
            return values
        return []

    def _hear_what_came(self) -> None:
        """Answers the server's pings and hears its refusals, without waiting for any."""
        timeout = self._socket.gettimeout()
        self._socket.settimeout(0.0)
        try:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                while data := self._socket.recv(4096):
                    self._reader.feed(data)
                raise ConnectionResetError(0, "the server closed the connection")
        finally:
            self._socket.settimeout(timeout)
        while (message := self._next_message()) is not None:
            self._heard(message)

    def _received(self, deadline: float) -> bytes:
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        data = self._socket.recv(4096)
        if not data:
            raise ConnectionResetError(0, "the server closed the connection")
        return data

    def _command(self, *values: Value, stream: int = 0) -> None:
        self._send(Message(COMMAND, encoded(*values), stream), COMMAND_CHANNEL)

    def _send(self, message: Message, channel: int, *, chunk_size: int = CHUNK_SIZE) -> None:
        self._socket.sendall(chunked(message, channel=channel, chunk_size=chunk_size))


def _status(values: Sequence[Value]) -> Value:
    about = values[3] if len(values) > 3 and values[0] == "onStatus" else None
    return about.get("code") if isinstance(about, dict) else None


def _raise_refusal(values: Sequence[Value]) -> None:
    about = values[-1] if values and isinstance(values[-1], dict) else {}
    # Some servers answer `releaseStream` with an error because there is nothing to release.
    is_error = values[:2] in (["_error", CONNECT], ["_error", CREATE_STREAM])
    if is_error or (about.get("level") == "error" and values[0] == "onStatus"):
        words = [str(about[name]) for name in ("code", "description") if about.get(name)]
        raise RtmpError(0, f"the server refuses: {', '.join(words) or 'without a reason'}")
