"""What one viewer has yet to be sent."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFrame:
    """One encoded frame: its number in the world's stream, its block, and its time in ticks of 1/90000 s.

    `data` is a whole JPEG, or what a decoder of the codec takes next. A frame that is shown again because nothing new
    came has the number it had before and a later `pts`.
    """

    number: int
    block_index: int
    data: bytes
    is_keyframe: bool
    pts: int


class Subscription:
    """A viewer's bounded queue of encoded frames.

    A viewer that falls more than `num_frames` behind loses what it has not taken and goes on with the next keyframe;
    nobody else is affected. Any thread may use it, but `next` belongs to one event loop.
    """

    def __init__(self, num_frames: int, *, on_close: Callable[[Subscription], None] = lambda _: None) -> None:
        self._num_frames = num_frames
        self._on_close = on_close
        self._frames: deque[EncodedFrame] = deque()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._came: asyncio.Event | None = None
        self._is_ended = False
        self._has_begun = False
        self.needs_keyframe = True
        """Whether nothing can be shown before a keyframe comes."""
        self.num_dropped = 0
        """Frames that were played and did not reach this viewer, from its first one on."""
        self.num_taken = 0

    @property
    def num_pending(self) -> int:
        """Frames that wait to be taken."""
        return len(self._frames)

    @property
    def is_ended(self) -> bool:
        """Whether nothing waits and nothing more will come."""
        return self._is_ended and not self._frames

    def offer(self, frame: EncodedFrame) -> None:
        """Appends a frame, unless this viewer cannot use it."""
        with self._lock:
            if self._is_ended:
                return
            if self.needs_keyframe and not frame.is_keyframe:
                self.num_dropped += int(self._has_begun)
                return
            if len(self._frames) >= self._num_frames:
                self.num_dropped += len(self._frames)
                self._frames.clear()
                self.needs_keyframe = not frame.is_keyframe
                if self.needs_keyframe:
                    self.num_dropped += 1
                    return
            self.needs_keyframe, self._has_begun = False, True
            self._frames.append(frame)
        self._wake()

    def take(self) -> EncodedFrame | None:
        """The oldest frame that waits; None if there is none."""
        with self._lock:
            if not self._frames:
                return None
            self.num_taken += 1
            return self._frames.popleft()

    async def next(self) -> EncodedFrame:
        """The oldest frame, as soon as there is one. Raises `StopAsyncIteration` when the stream has ended."""
        if self._came is None:
            self._came, self._loop = asyncio.Event(), asyncio.get_running_loop()
        while True:
            self._came.clear()
            if (frame := self.take()) is not None:
                return frame
            if self._is_ended:
                raise StopAsyncIteration
            await self._came.wait()

    def end(self) -> None:
        """Takes no more frames; those that wait can still be taken."""
        with self._lock:
            self._is_ended = True
        self._wake()

    def close(self) -> None:
        """Ends it and forgets what waits: the viewer is gone."""
        self._on_close(self)
        self.end()
        with self._lock:
            self._frames.clear()

    def _wake(self) -> None:
        if self._loop is not None and self._came is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
                self._loop.call_soon_threadsafe(self._came.set)
