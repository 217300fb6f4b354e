"""When frames of a world are due: a clock that stands still while the world is paused, and waits for late blocks."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class PlaybackClock:
    """Maps the frames of a world to moments. Safe to use from several threads.

    *Play time* runs like `time.monotonic` except while the clock stands. A block is due when the frames before it have
    been shown: that moment, `end`, is its deadline.
    """

    def __init__(self, fps: float, *, now: Callable[[], float] = time.monotonic) -> None:
        """A clock that stands."""
        self.fps = fps
        self._now = now
        self._lock = threading.Lock()
        self._shift = 0.0  # what play time lags behind real time
        self._stood_at: float | None = 0.0  # play time while the clock stands
        self._end: float | None = None
        self._empty_since = 0.0

    @property
    def has_frames(self) -> bool:
        """Whether a block has a deadline: whether it follows on others."""
        return self._end is not None

    @property
    def is_running(self) -> bool:
        """Whether play time passes."""
        return self._stood_at is None

    def play_time(self) -> float:
        """Seconds of play time now."""
        with self._lock:
            return self._play_time()

    def run(self) -> None:
        """Lets play time pass from where it stood."""
        with self._lock:
            if self._stood_at is not None:
                self._shift = self._now() - self._stood_at
                self._stood_at = None

    def stand(self) -> None:
        """Stops play time."""
        with self._lock:
            if self._stood_at is None:
                self._stood_at = self._play_time()

    def remaining(self) -> float:
        """Seconds of play time until the made frames have been shown; negative for how long there have been none."""
        with self._lock:
            return (self._empty_since if self._end is None else self._end) - self._play_time()

    def place(self, num_frames: int) -> tuple[float, float]:
        """Puts a new block behind the others: when its first frame is due, and by how many seconds it is late."""
        with self._lock:
            now = self._play_time()
            late = 0.0 if self._end is None else max(0.0, now - self._end)
            start = now if self._end is None or late else self._end
            self._end = start + num_frames / self.fps
            return start, late

    def forget(self) -> None:
        """There are no made frames any more; the next block begins at once and is not late."""
        with self._lock:
            self._end, self._empty_since = None, self._play_time()

    def forget_shown(self) -> None:
        """As `forget`, where all made frames have been shown: for a world that goes on after it stood."""
        with self._lock:
            if self._end is not None and self._end <= self._play_time():
                self._end, self._empty_since = None, self._play_time()

    def delay(self, due: float) -> float:
        """Real seconds until a moment of play time; infinite while the clock stands before it."""
        with self._lock:
            left = due - self._play_time()
            return math.inf if self._stood_at is not None and left > 0 else left

    def _play_time(self) -> float:
        return self._now() - self._shift if self._stood_at is None else self._stood_at
