"""A world for many viewers: one clock, one encoder for each codec in use, one bounded queue for each viewer."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from inferix_core.errors import OutputError, nearest

from inferix_stream.configuration import BroadcastConfig
from inferix_stream.encoders import Codec, EncoderSettings, LiveEncoder
from inferix_stream.live_frame import LiveFrame
from inferix_stream.live_streamer import LiveStreamer
from inferix_stream.shared_encoder import SharedEncoder
from inferix_stream.subscription import Subscription

CODECS: tuple[Codec, ...] = get_args(Codec)


@dataclass(frozen=True, slots=True)
class PlayedFrame:
    """A frame at the moment it is played: `at` is on `time.monotonic`."""

    number: int
    block_index: int
    is_last_of_block: bool
    signal_ids: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class BroadcastStatistics:
    """What became of the frames so far. Dropped ones were stale or discarded before anybody could see them."""

    num_frames_written: int
    num_frames_played: int
    num_frames_dropped: int
    num_frames_pending: int
    num_frames_encoded: int
    num_stalls: int
    num_viewers: int


class Broadcast(LiveStreamer):
    """Plays a world's frames at its rate and encodes each once for every codec that somebody watches.

    Without viewers nothing is encoded. While no frame comes the last one is shown again, so that whoever joins a
    world that rests sees it. `on_played` is called at every frame's time, in the clock's thread; it must not block.
    """

    def __init__(
        self,
        config: BroadcastConfig,
        *,
        target: str = "webrtc://",
        on_played: Callable[[PlayedFrame], None] = lambda _: None,
    ) -> None:
        super().__init__(config, target=target)
        self.config = config
        self.on_played = on_played
        self._encoders: dict[Codec, SharedEncoder] = {}
        self._lock = threading.Lock()
        self._last: LiveFrame | None = None
        self._last_media_seconds = 0.0
        self._last_played_at = 0.0
        self._num_encoded_before = 0

    @property
    def statistics(self) -> BroadcastStatistics:
        """What became of the frames until now."""
        playback = self._playback
        with self._lock:
            encoders = list(self._encoders.values())
            return BroadcastStatistics(
                num_frames_written=self.num_frames_written,
                num_frames_played=0 if playback is None else playback.num_played,
                num_frames_dropped=self.num_frames_dropped,
                num_frames_pending=self.num_frames_pending,
                num_frames_encoded=self._num_encoded_before + sum(one.num_encoded for one in encoders),
                num_stalls=0 if playback is None else playback.num_stalls,
                num_viewers=sum(len(one.subscriptions) for one in encoders),
            )

    def subscribe(self, codec: Codec) -> Subscription:
        """A viewer's queue of frames in "h264" (Annex B), "vp8" or "mjpeg", which begins with a keyframe.

        Raises `OutputError` if the broadcast is not open, or for a codec that it does not speak.
        """
        video = self._video
        if video is None or self._is_closed:
            raise OutputError(f"Nobody can watch '{self.target}': it is not open. Call open() first.")
        if codec not in CODECS:
            raise OutputError(f"'{codec}' is no codec for viewers.{nearest(codec, CODECS)} One of {', '.join(CODECS)}.")
        subscription = Subscription(
            math.ceil(self.config.viewer_queue_seconds * video.fps),
            on_close=lambda one: self._unsubscribe(codec, one),
        )
        with self._lock:
            if codec not in self._encoders:
                self._encoders[codec] = SharedEncoder(LiveEncoder(codec, video, self._settings()))
            self._encoders[codec].add(subscription)
        return subscription

    def request_keyframe(self, codec: Codec) -> None:
        """Makes a keyframe soon, because a viewer cannot go on without."""
        with self._lock:
            if codec in self._encoders:
                self._encoders[codec].request_keyframe()

    def _settings(self) -> EncoderSettings:
        config = self.config
        return EncoderSettings(
            h264=config.encoder,
            bitrate=config.bitrate,
            keyframe_seconds=config.keyframe_seconds,
            jpeg_quality=config.jpeg_quality,
            is_baseline=True,
        )

    def _unsubscribe(self, codec: Codec, subscription: Subscription) -> None:
        with self._lock:
            if (shared := self._encoders.get(codec)) is None:
                return
            shared.remove(subscription)
            if not shared.subscriptions:
                self._num_encoded_before += shared.num_encoded
                del self._encoders[codec]

    def _play(self, frame: LiveFrame, media_seconds: float) -> None:
        self._last, self._last_media_seconds, self._last_played_at = frame, media_seconds, time.monotonic()
        with self._lock:
            for shared in self._encoders.values():
                shared.encode(frame, media_seconds)
        self.on_played(
            PlayedFrame(frame.number, frame.block_index, frame.is_last_of_block, frame.signal_ids, self._last_played_at)
        )

    def _idle(self) -> None:
        """Shows the last frame again: who joined sees it, and receivers let go of what they hold back."""
        if self._last is None:
            return
        media_seconds = self._last_media_seconds + time.monotonic() - self._last_played_at
        with self._lock:
            for codec, shared in self._encoders.items():
                if codec != "mjpeg" or any(one.needs_keyframe for one in shared.subscriptions):
                    shared.encode(self._last, media_seconds)

    def _finish(self) -> None:
        self._idle()

    def _release(self) -> None:
        with self._lock:
            for shared in self._encoders.values():
                shared.end()
                self._num_encoded_before += shared.num_encoded
            self._encoders.clear()
        self._last = None
