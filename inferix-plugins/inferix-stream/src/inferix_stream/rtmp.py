"""A world pushed to an RTMP server, from where any number of players may fetch it."""

from __future__ import annotations

import math
import time

from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from loguru import logger

from inferix_stream.configuration import RtmpConfig
from inferix_stream.encoders import EncoderSettings
from inferix_stream.live_frame import LiveFrame
from inferix_stream.live_streamer import LiveStreamer
from inferix_stream.rtmp_link import RtmpLink
from inferix_stream.rtmp_publisher import parsed_address

LINK_SECONDS = 0.5
"""Seconds of video between the clock and the connection."""

REPEAT_SECONDS = 2.0
"""After so long without a new frame the last one is sent again."""


class RtmpStreamer(LiveStreamer):
    """Sends H.264 in FLV as one unbroken stream.

    The server must be there when the stream opens. When it goes away later the world goes on: frames are dropped and
    counted while new connections are tried, ever more rarely.
    """

    def __init__(self, config: RtmpConfig, *, target: str) -> None:
        super().__init__(config, target=str(target))
        self.config = config
        self._link: RtmpLink | None = None
        self._last: tuple[LiveFrame, float, float] | None = None
        self._num_lost = 0
        self._retry_seconds = config.first_retry_seconds
        self._retry_at = 0.0
        self._is_lost = False
        self.num_connections = 0
        """How often the server accepted the stream; above 1 it was lost in between."""

    @property
    def num_frames_dropped(self) -> int:
        """Frames that were written and never sent, those included that were lost with a connection."""
        return super().num_frames_dropped + self._num_lost

    def _start(self, video: VideoFormat) -> None:
        link = self._new_link(video)
        link.settled.wait()
        if isinstance(link.failure, OutputError):
            raise link.failure
        if link.failure is not None:
            raise OutputError(
                f"The RTMP server of '{self.target}' does not take the stream: {_reason(link.failure)}. "
                "Start the server, or correct the address: rtmp://host[:port]/application/name."
            ) from link.failure
        self._link = link
        self.num_connections = 1

    def _play(self, frame: LiveFrame, media_seconds: float) -> None:
        self._last = (frame, media_seconds, time.monotonic())
        link = self._link_now()
        is_lossless = self.config.back_pressure == "lossless"
        timeout_seconds = self.config.stall_seconds if is_lossless else 0.0
        if link is None or not link.offer(frame, media_seconds, timeout_seconds=timeout_seconds):
            self._num_lost += 1

    def _idle(self) -> None:
        """Shows the last frame again: servers and players give up a stream that says nothing."""
        link = self._link_now()
        if link is None or self._last is None:
            return
        frame, media_seconds, played_at = self._last
        pause_seconds = time.monotonic() - played_at
        if pause_seconds >= REPEAT_SECONDS:
            link.offer(frame, media_seconds + pause_seconds, timeout_seconds=0.0)

    def _finish(self) -> None:
        self._release()
        if self.num_frames_dropped:
            logger.warning(
                f"{self.num_frames_dropped} of {self.num_frames_written} frames did not reach {self.target}."
            )

    def _release(self) -> None:
        if (link := self._link) is None:
            return
        self._link = None
        if link.is_up:
            link.finish()
        else:
            link.abandon()
        self._num_lost += link.num_lost

    def _link_now(self) -> RtmpLink | None:
        """The connection, if it is up; one that was lost is replaced when the time has come."""
        link = self._link
        if link is None:
            if time.monotonic() >= self._retry_at:
                assert self._video is not None, "frames come after the format"
                self._link = self._new_link(self._video)
            return None
        if link.failure is not None:
            self._give_up(link, link.failure)
            return None
        if not link.is_up:
            return None
        if self._is_lost:
            self._is_lost = False
            self._retry_seconds = self.config.first_retry_seconds
            self.num_connections += 1
            logger.info(f"Connected to {self.target} again; {self.num_frames_dropped} frames were dropped until now.")
        return link

    def _give_up(self, link: RtmpLink, failure: Exception) -> None:
        if not self._is_lost:
            logger.warning(
                f"The connection to {self.target} is lost ({_reason(failure)}). The world goes on; trying again."
            )
        link.abandon()
        self._num_lost += link.num_lost
        self._link, self._is_lost = None, True
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, self.config.longest_retry_seconds)

    def _new_link(self, video: VideoFormat) -> RtmpLink:
        config = self.config
        return RtmpLink(
            parsed_address(self.target),
            video,
            EncoderSettings(h264=config.encoder, bitrate=config.bitrate, keyframe_seconds=config.keyframe_seconds),
            num_waiting=math.ceil(LINK_SECONDS * video.fps),
            connect_seconds=config.connect_seconds,
            stall_seconds=config.stall_seconds,
        )


def _reason(failure: Exception) -> str:
    """What went wrong, in the system's words where it has some."""
    return (failure.strerror if isinstance(failure, OSError) else None) or str(failure) or type(failure).__name__
