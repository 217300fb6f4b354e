"""A thread that says that this rank lives, and watches whether the others do."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from inferix_core.ranks.store import Store

_BEAT_SECONDS = 0.5
_SUSPICIOUS_SECONDS = 3.0
"""After how long without a beat a rank is taken for gone, when something else says that one is."""
_GRACE_SECONDS = 5.0
"""How long a main thread that is busy may take to notice that a rank is gone, before the process ends."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A rank that is gone, and what is known of why."""

    rank: int
    why: str

    def __str__(self) -> str:
        return f"Rank {self.rank} is gone: {self.why}"


class Watch:
    """Beats for `rank` and looks after the others through `store`, a connection of its own.

    `is_busy` says whether the main thread is in something that only the others can end. Then the process is ended, and
    says why on stderr, if it has not noticed by itself soon after a rank was lost, or if torchrun asks for its end.
    """

    def __init__(
        self,
        store: Store,
        *,
        rank: int,
        num_ranks: int,
        timeout_seconds: float,
        join_timeout_seconds: float,
        is_busy: Callable[[], bool],
    ) -> None:
        self._store = store
        self._rank = rank
        self._others = [other for other in range(num_ranks) if other != rank]
        self._timeout = timeout_seconds
        self._join_timeout = join_timeout_seconds
        self._is_busy = is_busy
        self._num_beats = 0
        self._seen: dict[int, tuple[bytes, float]] = {}
        self._left: set[int] = set()
        self._loss: Loss | None = None
        self._lost_at = 0.0
        self._suspects = threading.Event()
        self._stops = threading.Event()
        self._takes_termination = _take_termination(is_follower=rank > 0)
        self._thread = threading.Thread(target=self._run, name="inferix-watch", daemon=True)
        self._thread.start()

    @property
    def loss(self) -> Loss | None:
        """The rank that is gone, if one is."""
        return self._loss

    def suspect(self) -> Loss | None:
        """The rank that is gone, looked for with less patience: something failed that fails when one is."""
        self._suspects.set()
        until = time.monotonic() + 2 * _SUSPICIOUS_SECONDS
        while self._loss is None and time.monotonic() < until:
            time.sleep(0.05)
        return self._loss

    def note_failure(self, why: str) -> None:
        """Tells the others why this rank is about to end."""
        self._store.set(f"failed/{self._rank}", why.encode())

    def close(self) -> None:
        """Tells the others that this rank leaves in peace, and stops."""
        self._stops.set()
        self._thread.join()
        try:
            self._store.set(f"left/{self._rank}", b"1")
        except Exception:  # the store may have gone with the rank that held it
            return

    def _run(self) -> None:
        while not self._stops.is_set():
            try:
                self._beat()
                self._look()
            except Exception as error:  # whatever the store raises, it is out of reach
                self._lose(Loss(0, f"the store that it holds cannot be reached any more ({type(error).__name__})"))
            self._end_if_stuck()
            self._pause()

    def _beat(self) -> None:
        self._num_beats += 1
        self._store.set(f"beat/{self._rank}", str(self._num_beats).encode())

    def _look(self) -> None:
        """Looks after all others; of several that are silent for too long the longest silent one is lost."""
        now = time.monotonic()
        silent: list[tuple[float, Loss]] = []
        for other in self._others:
            if other in self._left:
                continue
            if self._store.check([f"failed/{other}"]):
                self._lose(Loss(other, self._store.get(f"failed/{other}").decode()))
            if self._store.check([f"left/{other}"]):
                self._left.add(other)
                continue
            has_come = self._store.check([f"beat/{other}"])
            beat = self._store.get(f"beat/{other}") if has_come else b""
            before, since = self._seen.get(other, (None, now))
            if beat != before:
                self._seen[other] = (beat, now)
                continue
            silence, limit = now - since, self._timeout if has_come else self._join_timeout
            if silence > (min(_SUSPICIOUS_SECONDS, limit) if self._suspects.is_set() else limit):
                what = "no sign of life for" if has_come else "it has not come within"
                silent.append((silence, Loss(other, f"{what} {silence:.0f} s")))
        if silent:
            self._lose(max(silent, key=lambda one: one[0])[1])

    def _lose(self, loss: Loss) -> None:
        if self._loss is None:
            self._loss, self._lost_at = loss, time.monotonic()

    def _end_if_stuck(self) -> None:
        if self._loss is not None and self._is_busy() and time.monotonic() - self._lost_at > _GRACE_SECONDS:
            self._end(str(self._loss))

    def _pause(self) -> None:
        if not self._takes_termination:
            self._stops.wait(_BEAT_SECONDS)
            return
        if signal.sigtimedwait({signal.SIGTERM}, _BEAT_SECONDS) is None:
            return
        self._suspects.set()  # torchrun ends the others when one has failed
        until = time.monotonic() + _SUSPICIOUS_SECONDS + 2 * _BEAT_SECONDS
        while self._loss is None and time.monotonic() < until:
            try:
                self._beat()  # those who look for the lost one must not take this rank for it
                self._look()
            except Exception:  # whoever held the store was ended first
                break
            time.sleep(0.1)
        self._end("" if self._loss is None else str(self._loss))

    def _end(self, why: str) -> None:
        if why:  # to the terminal and not to the log, which may be silent: nothing is heard from this process again
            print(f"Error: rank {self._rank}: {why}", file=sys.stderr, flush=True)
        os._exit(1)


def _take_termination(*, is_follower: bool) -> bool:
    """Whether the watching thread is to get SIGTERM: a main thread in a collective never would."""
    if not is_follower and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False  # the program has a use for it
    if threading.current_thread() is not threading.main_thread():
        return False
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    return True
