"""The place where a muxer leaves its bytes until Python takes them to the file."""

from __future__ import annotations

import io


class PendingBytes:
    """What a muxer has written and no file has yet.

    The muxer calls `write` from C, where an exception would be swallowed; a bound C method runs no
    Python code, so neither a full disk nor Ctrl-C can strike inside it. It has no `seek`: the muxer
    then knows that it can only append.
    """

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self.write = self._buffer.write

    def value(self) -> bytes:
        """The bytes that are pending, in order."""
        return self._buffer.getvalue()

    def clear(self) -> None:
        """Forgets them."""
        self._buffer.seek(0)
        self._buffer.truncate()
