"""The thread that plays a world: it takes frames from a queue and hands each on when it is due."""

from __future__ import annotations

import threading
from collections.abc import Callable

from inferix_stream.frame_queue import FrameQueue
from inferix_stream.live_frame import LiveFrame
from inferix_stream.pacing import Pace

IDLE_SECONDS = 0.5
"""How often `idle` is called while no frame comes."""


class Playback:
    """Calls `play(frame, media_seconds)` for each frame of the queue when it is due, in a thread of its own.

    `idle()` is called now and then while the queue is empty, and `finish()` once after the last frame.
    An exception ends the playback and is kept in `failure`; the queue is closed, so that nobody waits for it.
    """

    def __init__(
        self,
        queue: FrameQueue,
        pace: Pace,
        *,
        play: Callable[[LiveFrame, float], None],
        idle: Callable[[], None] = lambda: None,
        finish: Callable[[], None] = lambda: None,
        name: str = "playback",
    ) -> None:
        self.failure: BaseException | None = None
        self.num_played = 0
        self._queue = queue
        self._pace = pace
        self._play, self._idle, self._finish = play, idle, finish
        self._thread = threading.Thread(target=self._run, name=f"inferix-{name}", daemon=True)

    @property
    def num_stalls(self) -> int:
        """How often a frame came too late to keep the rate; a pause is one."""
        return self._pace.num_stalls

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Waits until everything is played, if the queue was finished before; False if that takes longer."""
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while True:
                frame = self._queue.get(IDLE_SECONDS)
                if frame is not None:
                    self._queue.pause(self._pace.delay())
                    self._play(frame, self._pace.media_seconds)
                    self.num_played += 1
                elif self._queue.is_finished:
                    break
                else:
                    self._idle()
            self._finish()
        except BaseException as failure:  # whatever it is, the writer's thread is told of it
            self.failure = failure
        finally:
            self._queue.close()
