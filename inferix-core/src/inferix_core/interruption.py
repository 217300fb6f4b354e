"""Ctrl-C at a moment of our choosing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self


class HeldInterrupt:
    """While it is entered, Ctrl-C is remembered; `deliver`, or leaving, hands it to whoever would have got it.

    Does nothing off the main thread, where Python delivers no signals.
    """

    def __init__(self) -> None:
        self._came = False
        self._before: Any = None
        self._is_held = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._remember)
            self._is_held = True
        return self

    def deliver(self) -> None:
        """Hands on a Ctrl-C that came; the usual handler raises `KeyboardInterrupt`. Later ones are not held."""
        if self._came:
            self._release()
            self._came = False
            signal.raise_signal(signal.SIGINT)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()
        self.deliver()

    def _release(self) -> None:
        if self._is_held:
            signal.signal(signal.SIGINT, self._before)
            self._is_held = False

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came = True


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Lets the body finish when Ctrl-C comes meanwhile, and raises `KeyboardInterrupt` after it."""
    with HeldInterrupt():
        yield
