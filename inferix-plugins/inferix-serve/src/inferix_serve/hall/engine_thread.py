"""The one thread that touches the engine: it does what it is told, and works between."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from loguru import logger

from inferix_serve.problems import RefusedError

T = TypeVar("T")


class EngineThread:
    """Runs submitted calls in their order, and `work` whenever none waits.

    `work` does at most one block and says in how many seconds it wants to be called again: 0 for at once, None for
    not before the next call.
    """

    def __init__(self, work: Callable[[], float | None], *, name: str = "inferix-engine") -> None:
        self._work = work
        self._wake = threading.Condition()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts working."""
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """How many calls wait."""
        return len(self._calls)

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """The outcome of `call`, run in the thread between two blocks. Refused once the thread is closing."""
        future: Future[T] = Future()
        with self._wake:
            if self._closing:
                raise RefusedError(503, "closing", "The server is closing. Ask again when it is back.")
            self._calls.append((call, future))
            self._wake.notify()
        return future

    def close(self, timeout_seconds: float = 60.0) -> None:
        """Finishes what was submitted and ends the thread. Safe to call twice."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        pause: float | None = 0.0
        while True:
            with self._wake:
                if not self._calls and not self._closing and (pause is None or pause > 0):
                    self._wake.wait(pause)
                calls, self._calls = self._calls, deque()
                if not calls and self._closing:
                    return
            for call, future in calls:
                _fulfil(call, future)
            pause = self._one_unit()

    def _one_unit(self) -> float | None:
        try:
            return self._work()
        except Exception:  # the thread serves every world and must outlive a fault of one
            logger.exception("The engine's thread met a fault of its own and goes on")
            return 0.1


def _fulfil(call: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # belongs to whoever asked
        future.set_exception(error)
