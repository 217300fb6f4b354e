"""The bounded queue between a world that makes blocks and a clock that plays frames."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from inferix_stream.configuration import BackPressure
from inferix_stream.live_frame import LiveFrame


class FrameQueue:
    """Holds about `num_frames`; what happens beyond that is the back-pressure.

    "lossless" lets `put` wait for room, "latest" drops the oldest frames and counts them. A block always fits, so
    that one longer than the queue is played whole.
    """

    def __init__(self, num_frames: int, back_pressure: BackPressure) -> None:
        self._num_frames = num_frames
        self._is_lossless = back_pressure == "lossless"
        self._frames: deque[LiveFrame] = deque()
        self._changed = threading.Condition()
        self._is_finished = False
        self._is_closed = False
        self._num_discards = 0
        self.num_dropped = 0
        """Frames that were put and never got."""

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be put."""
        return self._is_finished

    def put(self, frames: Sequence[LiveFrame]) -> bool:
        """Appends a block's frames; False if the queue was closed instead. Waits if it is lossless and full.

        Frames that wait while `discard` is called are dropped with those that are held.
        """
        with self._changed:
            num_discards = self._num_discards
            while self._is_lossless and len(self._frames) >= self._num_frames:
                if self._is_finished or self._num_discards != num_discards:
                    break
                self._changed.wait()
            if self._is_finished or self._num_discards != num_discards:
                self.num_dropped += len(frames)
                return not self._is_finished
            self._frames.extend(frames)
            if not self._is_lossless:
                self._drop_oldest(len(self._frames) - max(self._num_frames, len(frames)))
            self._changed.notify_all()
            return True

    def get(self, timeout_seconds: float) -> LiveFrame | None:
        """The oldest frame; None if none came in that time, or none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._is_finished, timeout_seconds)
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._changed.notify_all()
            return frame

    def pause(self, seconds: float) -> None:
        """Waits; not longer than until the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, seconds)

    def discard(self) -> None:
        """Drops what is held and what waits to be put."""
        with self._changed:
            self._num_discards += 1
            self._drop_oldest(len(self._frames))
            self._changed.notify_all()

    def finish(self) -> None:
        """Takes no more frames; those that are held can still be got."""
        with self._changed:
            self._is_finished = True
            self._changed.notify_all()

    def close(self) -> None:
        """Takes no more frames, drops those that are held, and ends every wait."""
        with self._changed:
            self._is_finished = self._is_closed = True
            self._drop_oldest(len(self._frames))
            self._changed.notify_all()

    def _drop_oldest(self, count: int) -> None:
        for _ in range(count):
            self._frames.popleft()
            self.num_dropped += 1
