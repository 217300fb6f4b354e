"""Outputs that the operator named: channels that play a world to a media server or as HLS, without a break."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import InferixError
from inferix_core.events import Block
from loguru import logger

from inferix_serve.problems import not_found
from inferix_serve.settings import PLAYLIST

if TYPE_CHECKING:
    from inferix_stream.live_streamer import LiveStreamer

    from inferix_serve.feed import Feed, Shown
    from inferix_serve.feeds import Feeds
    from inferix_serve.hall.hall import Hall


class Channel:
    """A viewer of a feed that hands every frame on. Its stream goes on while it changes from one world to another."""

    wants_pictures = False

    def __init__(self, target: str, streamer: LiveStreamer) -> None:
        self.streamer = streamer
        self.world: str | None = None
        self.feed: Feed | None = None
        self.has_failed = False
        self.changing = asyncio.Lock()
        self._label = label_of(target)

    @property
    def view(self) -> dict[str, Any]:
        """For viewers: keys of streams and folders of this machine are not theirs to know."""
        return {
            "target": self._label,
            "world": self.world,
            "frames": self.streamer.num_frames_written,
            "dropped": self.streamer.num_frames_dropped,
            "failed": self.has_failed,
        }

    def show(self, shown: Shown) -> None:
        """Hands the frame on; a stream that fails costs nobody else a frame."""
        if self.has_failed:
            return
        try:
            self.streamer.write(Block(shown.block, torch.from_numpy(shown.frame)[None], range(0)))
        except InferixError as error:
            self.has_failed = True
            logger.error(f"An output has ended: {error}")

    def tell(self, message: Mapping[str, Any]) -> None:
        """Lets go of a world that is gone."""
        if message["type"] == "gone":
            self.world = self.feed = None


class Outputs:
    """All outputs of one server. One that shows nothing takes the next world that is begun."""

    def __init__(self, hall: Hall) -> None:
        """Opens them. Raises `OutputError` for one that cannot be written, e.g. where no RTMP server answers."""
        self._hall = hall
        self._feeds: Feeds | None = None
        self._channels: list[Channel] = []
        try:
            for target in hall.settings.outputs:
                self._channels.append(Channel(target, self._opened(target)))
        except InferixError:
            for channel in self._channels:
                channel.streamer.close()
            raise

    @property
    def views(self) -> list[dict[str, Any]]:
        """The outputs as plain data; the place of each is its number."""
        return [{"number": number, **channel.view} for number, channel in enumerate(self._channels)]

    def use(self, feeds: Feeds) -> None:
        """Says where frames come from; before anything is shown."""
        self._feeds = feeds

    async def show(self, number: int, world: str | None) -> dict[str, Any]:
        """Puts another world on an output, or none. Raises `RefusedError`, and what waking the world does."""
        if number >= len(self._channels):
            raise not_found("output", str(number))
        channel = self._channels[number]
        async with channel.changing:
            if world != channel.world:
                if world is not None:
                    await asyncio.wrap_future(self._hall.watch(world))
                self._leave(channel)
                if world is not None:
                    self._enter(channel, world)
        return self.views[number]

    async def offer(self, world: str) -> None:
        """Shows a world that has just begun where nothing is shown."""
        idle = next((at for at, one in enumerate(self._channels) if one.world is None and not one.has_failed), None)
        if idle is None:
            return
        try:
            await self.show(idle, world)
        except InferixError as error:
            logger.warning(f"Output {idle} cannot show the new world: {error}")

    async def close(self) -> None:
        """Plays what waits and ends all streams."""
        for channel in self._channels:
            self._leave(channel)
        ended = (asyncio.to_thread(one.streamer.close) for one in self._channels)
        for failure in await asyncio.gather(*ended, return_exceptions=True):
            if isinstance(failure, BaseException):
                logger.error(f"An output could not be ended: {failure}")

    def _opened(self, target: str) -> LiveStreamer:
        from inferix_stream.configuration import HlsConfig, RtmpConfig
        from inferix_stream.hls import HlsStreamer
        from inferix_stream.rtmp import RtmpStreamer

        options = {"back_pressure": "latest"}  # an output that cannot follow must not hold up viewers
        streamer: LiveStreamer
        if target.endswith(PLAYLIST):
            window = {"playlist": "window"}  # a channel has no end, and must not fill the disk
            streamer = HlsStreamer(HlsConfig.model_validate(options | window), target=target)
        else:
            streamer = RtmpStreamer(RtmpConfig.model_validate(options), target=target)
        geometry = self._hall.engine.geometry
        streamer.open(VideoFormat(geometry.frame_height, geometry.frame_width, geometry.fps))
        return streamer

    def _enter(self, channel: Channel, world: str) -> None:
        feed = None if self._feeds is None else self._feeds.of(world)
        if feed is None:  # closed between two moments
            self._hall.unwatch(world)
            raise not_found("world", world)
        channel.world, channel.feed = world, feed
        feed.add(channel)

    def _leave(self, channel: Channel) -> None:
        world, feed = channel.world, channel.feed
        channel.world = channel.feed = None
        if world is not None and feed is not None:
            feed.viewers.discard(channel)
            self._hall.unwatch(world)


def label_of(target: str) -> str:
    """What may be told of a target: the server without the stream's key, or the playlist's name."""
    parts = urlsplit(target)
    if not parts.netloc:
        return Path(target).name
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"
