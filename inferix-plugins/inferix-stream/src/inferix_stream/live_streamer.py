"""What all live streamers share: a queue that takes blocks, and a playback that sends their frames in time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError

from inferix_stream.configuration import LiveConfig
from inferix_stream.frame_queue import FrameQueue
from inferix_stream.live_frame import LiveFrame, live_frames
from inferix_stream.pacing import pace
from inferix_stream.pixels import block_pixels
from inferix_stream.playback import Playback

if TYPE_CHECKING:
    from inferix_core.events import Block


class LiveStreamer:
    """The base of streamers whose viewers watch while the world is made.

    A subclass gives `_start`, `_play`, `_finish` and, where it has something to do meanwhile, `_idle`. `_start` is
    called by `open`, the others by the playback's thread.
    """

    def __init__(self, config: LiveConfig, *, target: str) -> None:
        self.target = target
        self._live = config
        self._video: VideoFormat | None = None
        self._queue: FrameQueue | None = None
        self._playback: Playback | None = None
        self._num_written = 0
        self._is_closed = False

    @property
    def num_frames_written(self) -> int:
        """Frames that `write` was given."""
        return self._num_written

    @property
    def num_frames_dropped(self) -> int:
        """Frames that were written and never played: stale ones, and those that were discarded."""
        return 0 if self._queue is None else self._queue.num_dropped

    @property
    def num_frames_pending(self) -> int:
        """Frames that wait for their time."""
        return 0 if self._queue is None else len(self._queue)

    def open(self, video: VideoFormat) -> None:
        """Proves that the target can be reached and starts the clock's thread."""
        self._start(video)
        config = self._live
        self._queue = FrameQueue(math.ceil(config.queue_seconds * video.fps), config.back_pressure)
        self._playback = Playback(
            self._queue,
            pace(video.fps, paced=config.paced),
            play=self._play,
            idle=self._idle,
            finish=self._finish,
            name=type(self).__name__,
        )
        self._video = video
        self._playback.start()

    def write(self, block: Block) -> None:
        """Queues a copy of the block's frames; waits while the queue is full, if it is lossless."""
        pixels = block_pixels(block, self._video)
        assert self._queue is not None, "open() sets the queue with the format"
        self._check()
        frames = live_frames(block, pixels.copy(), first_number=self._num_written)
        self._num_written += len(frames)
        if not self._queue.put(frames):
            self._check()

    def discard_pending(self) -> None:
        """Drops the frames that were not played yet, e.g. because the world was rewound; they count as dropped."""
        if self._queue is not None:
            self._queue.discard()

    def close(self) -> None:
        """Plays what is still held, in its time, and ends the stream.

        Raises `WriteError` if the playback failed and no `write` has said so.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._queue is None or self._playback is None:
            return
        self._queue.finish()
        self._playback.join()
        self._release()
        if isinstance(self._playback.failure, WriteError) and not self._was_told:
            raise self._playback.failure

    _was_told = False

    def _start(self, video: VideoFormat) -> None:
        """Opens the target; raises `OutputError` if it cannot be written."""

    def _play(self, frame: LiveFrame, media_seconds: float) -> None:
        """Sends a frame that is due, `media_seconds` after the first."""

    def _idle(self) -> None:
        """Does what is to be done while no frame comes."""

    def _finish(self) -> None:
        """Ends the target after the last frame."""

    def _release(self) -> None:
        """Lets go of what is held, also after a failure."""

    def _check(self) -> None:
        if self._is_closed:
            raise OutputError(f"No more frames can be written to '{self.target}': it is closed. Open a new streamer.")
        assert self._playback is not None, "open() sets the playback with the format"
        failure = self._playback.failure
        if failure is None:
            return
        self._was_told = True
        if isinstance(failure, OutputError):
            raise WriteError(str(failure)) from failure
        raise WriteError(
            f"Writing to '{self.target}' failed: {type(failure).__name__}: {failure}. Open a new streamer."
        ) from failure
