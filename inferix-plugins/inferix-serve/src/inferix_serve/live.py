"""Watching a world from a program: its frames and what happens to it, over one WebSocket."""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from inferix_serve.problems import RefusedError
from inferix_serve.wire import PICTURE_HEADER

if TYPE_CHECKING:
    from inferix_serve.hall.events import Frames

_MAX_MESSAGE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as it came: its number, the block that made it, and a JPEG."""

    number: int
    block: int
    jpeg: bytes

    @property
    def frame(self) -> Frames:
        """`[H, W, 3]` uint8."""
        return np.asarray(Image.open(io.BytesIO(self.jpeg)).convert("RGB"))


class Live:
    """One viewer. Iterate over it: pictures, and messages as mappings, in the order in which they came."""

    def __init__(self, address: str, *, headers: Mapping[str, str], pictures: bool) -> None:
        """Connects when it is entered. Raises `RefusedError` where the server will not."""
        self._address = address
        self._headers = headers
        self._pictures = pictures
        self._passed: deque[Picture | Mapping[str, Any]] = deque()
        self._next_ref = 1
        self._closing = ExitStack()
        self.is_over = False

    def __enter__(self) -> Live:
        self._socket = self._closing.enter_context(
            connect(self._address, additional_headers=dict(self._headers), max_size=_MAX_MESSAGE_BYTES, proxy=None)
        )
        first = self._next(None)
        if isinstance(first, Mapping) and first["type"] == "refused":
            self._closing.close()
            raise _refused(first)
        if self._pictures:
            self._say({"type": "watch", "pictures": True})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()

    def __iter__(self) -> Iterator[Picture | Mapping[str, Any]]:
        while (found := self.next(timeout_seconds=None)) is not None:
            yield found

    def next(self, *, timeout_seconds: float | None = None) -> Picture | Mapping[str, Any] | None:
        """What comes next; None where nothing does in time, or the world is gone (`is_over`)."""
        return self._passed.popleft() if self._passed else self._next(timeout_seconds)

    def pictures(self) -> Iterator[Picture]:
        """The frames alone."""
        return (found for found in self if isinstance(found, Picture))

    def ask(self, verb: str, **fields: Any) -> Mapping[str, Any]:
        """The acknowledgement of a command, e.g. `ask("signal", action="left")`. Raises `RefusedError`.

        What comes meanwhile is kept for `next`.
        """
        ref, self._next_ref = self._next_ref, self._next_ref + 1
        self._say({"type": verb, "ref": ref, **fields})
        while True:
            found = self._next(None)
            if found is None:
                raise RefusedError(410, "gone", "The world is gone, or the connection was lost.")
            if isinstance(found, Mapping) and found.get("ref") == ref:
                if found["type"] == "refused":
                    raise _refused(found)
                return found
            self._passed.append(found)

    def _say(self, message: Mapping[str, Any]) -> None:
        self._socket.send(json.dumps(message))

    def _next(self, timeout_seconds: float | None) -> Picture | Mapping[str, Any] | None:
        try:
            received = self._socket.recv(timeout=timeout_seconds)
        except TimeoutError:
            return None
        except ConnectionClosed:
            self.is_over = True
            return None
        if isinstance(received, str):
            message: Mapping[str, Any] = json.loads(received)
            return message
        _, number, block = PICTURE_HEADER.unpack_from(received)
        return Picture(number, block, received[PICTURE_HEADER.size :])


def _refused(message: Mapping[str, Any]) -> RefusedError:
    error = message["error"]
    return RefusedError(int(error.get("status", 409)), str(error["code"]), str(error["message"]))
