"""Worlds over WebRTC: one encoder for all who watch a world, fed frame by frame at their moments."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import InferixError, OutputError
from inferix_core.events import Block
from loguru import logger

from inferix_serve.problems import RefusedError

if TYPE_CHECKING:
    from inferix_core.plan import Geometry
    from inferix_stream.webrtc import Answer, WebRtcStreamer

    from inferix_serve.feed import Feed, Shown
    from inferix_serve.settings import ServeSettings

_QUEUE_SECONDS = 0.5


class Broadcast:
    """A viewer of the feed that stands for all who watch over WebRTC."""

    wants_pictures = False

    def __init__(self, streamer: WebRtcStreamer) -> None:
        self.streamer = streamer
        self.num_answering = 0
        self.has_failed = False

    def show(self, shown: Shown) -> None:
        """Encodes the frame for everybody; an encoder that fails costs viewers of pictures nothing."""
        if self.has_failed:
            return
        frames = torch.from_numpy(shown.frame)[None]
        try:
            self.streamer.write(Block(shown.block, frames, range(0)))
        except InferixError as error:
            self.has_failed = True
            logger.error(f"Video over WebRTC has ended: {error}")

    def tell(self, message: Mapping[str, Any]) -> None:
        """What happens to the world is told over the WebSocket."""


class Broadcasts:
    """All broadcasts of one server, in its event loop. Each begins with its first viewer and ends with its last."""

    def __init__(self, geometry: Geometry, settings: ServeSettings) -> None:
        self.is_available = find_spec("aiortc") is not None
        self._format = VideoFormat(geometry.frame_height, geometry.frame_width, geometry.fps)
        self._settings = settings
        self._broadcasts: dict[Feed, Broadcast] = {}

    @property
    def num_viewers(self) -> int:
        """Viewers of all worlds."""
        return sum(len(one.streamer.viewers) for one in self._broadcasts.values())

    async def answer(self, feed: Feed, sdp: str) -> Answer:
        """Connects a viewer to a world. Raises `RefusedError` for an offer that cannot be answered."""
        if not self.is_available:
            raise RefusedError(409, "no_webrtc", "WebRTC is not installed here: pip install 'inferix-serve[webrtc]'.")
        broadcast = self._broadcasts.get(feed)
        if broadcast is not None and broadcast.has_failed:
            await self._end(feed)
            broadcast = None
        broadcast = broadcast or self._broadcasts.get(feed) or self._begun(feed)
        broadcast.num_answering += 1
        try:
            return await self._answered(broadcast.streamer, sdp)
        except OutputError as error:
            raise RefusedError(422, "offer", str(error)) from error
        finally:
            broadcast.num_answering -= 1
            await self._end_if_alone(feed)

    async def leave(self, feed: Feed, viewer_id: str) -> None:
        """Ends a viewer's connection, and the broadcast with the last."""
        if (broadcast := self._broadcasts.get(feed)) is not None:
            await broadcast.streamer.disconnect(viewer_id)
            await self._end_if_alone(feed)

    async def close(self) -> None:
        """Ends all broadcasts."""
        for feed in list(self._broadcasts):
            await self._end(feed)

    async def _answered(self, streamer: WebRtcStreamer, sdp: str) -> Answer:
        try:
            return await streamer.answer(sdp, codec=self._settings.codec)
        except OutputError:  # a viewer that does not speak the preferred codec
            return await streamer.answer(sdp)

    def _begun(self, feed: Feed) -> Broadcast:
        from inferix_stream.configuration import WebRtcConfig
        from inferix_stream.webrtc import WebRtcStreamer

        config = WebRtcConfig.model_validate(
            {
                "back_pressure": "latest",
                "queue_seconds": _QUEUE_SECONDS,
                "max_viewers": self._settings.limits.max_viewers,
                "ice_servers": self._settings.ice_servers,
            }
        )
        broadcast = self._broadcasts[feed] = Broadcast(WebRtcStreamer(config))
        broadcast.streamer.open(self._format)
        feed.add(broadcast)
        return broadcast

    async def _end_if_alone(self, feed: Feed) -> None:
        broadcast = self._broadcasts.get(feed)
        if broadcast is not None and not broadcast.num_answering and not broadcast.streamer.viewers:
            await self._end(feed)

    async def _end(self, feed: Feed) -> None:
        broadcast = self._broadcasts.pop(feed)  # at once: whoever comes now begins another
        feed.viewers.discard(broadcast)
        broadcast.streamer.discard_pending()
        await asyncio.to_thread(broadcast.streamer.close)  # waits for a thread that may be encoding
