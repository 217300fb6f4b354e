"""A video track of frames that are already encoded."""

from __future__ import annotations

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet
from av.stream import Stream

from inferix_stream.encoders import TIME_BASE
from inferix_stream.subscription import Subscription


class PacketTrack(MediaStreamTrack):
    """Hands a viewer's encoded frames to aiortc, which sends them as they are."""

    kind = "video"

    def __init__(self, subscription: Subscription) -> None:
        super().__init__()
        self._subscription = subscription

    async def recv(self) -> Packet[Stream]:
        """The next frame; raises `MediaStreamError` when there will be none."""
        try:
            frame = await self._subscription.next()
        except StopAsyncIteration as end:
            raise MediaStreamError from end
        packet = Packet(frame.data)
        packet.pts = packet.dts = frame.pts
        packet.time_base = TIME_BASE
        return packet
