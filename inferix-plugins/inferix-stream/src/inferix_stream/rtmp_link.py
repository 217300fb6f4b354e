"""One connection to an RTMP server, from its first byte to its end."""

from __future__ import annotations

import contextlib
import queue
import threading

from inferix_core.contracts.streamer import VideoFormat

from inferix_stream.encoders import EncoderSettings
from inferix_stream.flv import FlvEncoder
from inferix_stream.live_frame import LiveFrame
from inferix_stream.rtmp_publisher import RtmpAddress, RtmpPublisher


class RtmpLink:
    """Connects, encodes and sends in a thread of its own, so that a server that hangs never holds up a world."""

    def __init__(
        self,
        address: RtmpAddress,
        video: VideoFormat,
        settings: EncoderSettings,
        *,
        num_waiting: int,
        connect_seconds: float,
        stall_seconds: float,
    ) -> None:
        """Begins to connect; `settled` is set once the server has accepted the stream, or has not."""
        self._address = address
        self._video = video
        self._settings = settings
        self._connect_seconds, self._stall_seconds = connect_seconds, stall_seconds
        self._waiting: queue.Queue[tuple[LiveFrame, float] | None] = queue.Queue(num_waiting)
        self._publisher: RtmpPublisher | None = None
        self._last_offered: LiveFrame | None = None
        self._num_offered = 0
        self._num_sent = 0
        self.settled = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="inferix-rtmp", daemon=True)
        self._thread.start()

    @property
    def is_up(self) -> bool:
        """Whether frames can be sent."""
        return self.settled.is_set() and self.failure is None

    @property
    def num_lost(self) -> int:
        """Frames that were offered and not sent, or not yet."""
        return self._num_offered - self._num_sent

    def offer(self, frame: LiveFrame, media_seconds: float, *, timeout_seconds: float) -> bool:
        """Queues a frame; False if there is no room for it in that time. The last one may be offered again."""
        try:
            self._waiting.put((frame, media_seconds), timeout_seconds > 0, timeout_seconds)
        except queue.Full:
            return False
        self._num_offered += int(frame is not self._last_offered)
        self._last_offered = frame
        return True

    def finish(self) -> None:
        """Sends what waits and says goodbye; a server that takes nothing ends it, too."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=self._stall_seconds)
            self._thread.join(2 * self._stall_seconds)
        self.abandon()

    def abandon(self) -> None:
        """Drops the connection with what waits."""
        if self._publisher is not None:
            self._publisher.close()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(self._connect_seconds)

    def _run(self) -> None:
        try:
            encoder = FlvEncoder(self._video, self._settings)
            try:
                self._publisher = RtmpPublisher(
                    self._address, connect_seconds=self._connect_seconds, stall_seconds=self._stall_seconds
                )
                self.settled.set()
                self._send(self._publisher, encoder)
                self._publisher.finish()
            finally:
                encoder.close()
        except Exception as failure:  # told to whoever looks at `failure`: the thread has nobody else to tell
            self.failure = failure
            if self._publisher is not None:
                self._publisher.close()
        finally:
            self.settled.set()

    def _send(self, publisher: RtmpPublisher, encoder: FlvEncoder) -> None:
        first_seconds: float | None = None
        last: LiveFrame | None = None
        while (item := self._waiting.get()) is not None:
            frame, media_seconds = item
            first_seconds = media_seconds if first_seconds is None else first_seconds
            for tag in encoder.encode(frame.pixels, media_seconds=media_seconds - first_seconds):
                publisher.send(tag.type, tag.body, milliseconds=tag.milliseconds)
            self._num_sent += int(frame is not last)
            last = frame
