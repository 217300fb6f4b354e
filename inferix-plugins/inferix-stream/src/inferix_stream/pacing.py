"""When frames are due: the content's rate on a monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds that only grow, such as `time.monotonic`."""


class Pacer:
    """Spreads frames over time at `fps`, counted from the first one, so that small delays do not add up.

    A frame that comes more than `max_late_seconds` after it was due starts a new count instead of being
    hurried after: made worlds have no source to catch up with, and a pause is a pause. One frame's time if
    not given.
    """

    def __init__(self, fps: float, *, now: Clock = time.monotonic, max_late_seconds: float | None = None) -> None:
        self._period = 1.0 / fps
        self._now = now
        self._max_late = self._period if max_late_seconds is None else max_late_seconds
        self._first_due: float | None = None
        self._start = 0.0
        self._num_since_start = 0
        self.num_stalls = 0
        """How often frames came too late to keep the rate."""
        self.media_seconds = 0.0
        """When the frame that was counted last is due, in seconds after the first one."""

    def delay(self) -> float:
        """Counts one frame and says how many seconds remain until it is due; 0 if it is late or the first."""
        now = self._now()
        if self._first_due is None:
            self._first_due = now
            self._restart_at(now)
        due = self._start + self._num_since_start * self._period
        if now - due > self._max_late:
            self.num_stalls += 1
            self._restart_at(now)
            due = now
        self._num_since_start += 1
        self.media_seconds = due - self._first_due
        return max(0.0, due - now)

    def _restart_at(self, start: float) -> None:
        self._start, self._num_since_start = start, 0


class Unpaced:
    """A pacer's place where nothing waits: every frame is due at once, and media time is counted in frames."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self._num_frames = 0
        self.num_stalls = 0
        self.media_seconds = 0.0

    def delay(self) -> float:
        """0, always."""
        self.media_seconds = self._num_frames * self._period
        self._num_frames += 1
        return 0.0


Pace = Pacer | Unpaced


def pace(fps: float, *, paced: bool, now: Clock = time.monotonic) -> Pace:
    """The pacer at `fps`, or the one that never waits."""
    return Pacer(fps, now=now) if paced else Unpaced(fps)
