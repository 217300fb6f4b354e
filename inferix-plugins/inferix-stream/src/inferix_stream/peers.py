"""The WebRTC connections of one world's viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)
from inferix_core.errors import OutputError
from loguru import logger

from inferix_stream.broadcast import Broadcast
from inferix_stream.configuration import WebRtcConfig
from inferix_stream.offers import offered_codec
from inferix_stream.packet_track import PacketTrack
from inferix_stream.subscription import Subscription
from inferix_stream.webrtc import Answer, VideoCodec, ViewerStatistics

DRAIN_SECONDS = 1.0
"""How long a viewer who is told goodbye may still take what was played."""

SETTLE_SECONDS = 1.0
"""How long a connection that is being made is waited for before it is closed."""


@dataclass(slots=True)
class Peer:
    """One viewer's connection."""

    id: str
    connection: RTCPeerConnection
    codec: VideoCodec
    subscription: Subscription
    watchdog: asyncio.TimerHandle | None = None


class Peers:
    """Answers offers and keeps the connections until they end. Belongs to one event loop."""

    def __init__(self, broadcast: Broadcast, config: WebRtcConfig) -> None:
        self._broadcast = broadcast
        self._config = config
        self._peers: dict[str, Peer] = {}
        self._num_answering = 0
        self._endings: set[asyncio.Task[None]] = set()

    def statistics(self) -> Sequence[ViewerStatistics]:
        """How each viewer fares; may be called from any thread."""
        return [
            ViewerStatistics(
                viewer_id=peer.id,
                codec=peer.codec,
                state=peer.connection.connectionState,
                num_frames_sent=peer.subscription.num_taken,
                num_frames_dropped=peer.subscription.num_dropped,
                num_frames_pending=peer.subscription.num_pending,
            )
            for peer in list(self._peers.values())
        ]

    async def answer(self, sdp: str, *, codec: VideoCodec | None) -> Answer:
        """See `WebRtcStreamer.answer`."""
        limit = self._config.max_viewers
        if len(self._peers) + self._num_answering >= limit:
            raise OutputError(f"There are {limit} viewers already, as many as one world may have. Try again later.")
        chosen = offered_codec(sdp, codec)
        servers = [RTCIceServer(urls=url) for url in self._config.ice_servers]
        connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._num_answering += 1
        try:
            peer = await self._connect(connection, sdp, chosen)
        except BaseException:
            await connection.close()
            raise
        finally:
            self._num_answering -= 1
        return Answer(peer.id, connection.localDescription.sdp)

    async def disconnect(self, viewer_id: str) -> None:
        """See `WebRtcStreamer.disconnect`."""
        peer = self._peers.pop(viewer_id, None)
        if peer is None:
            return
        if peer.watchdog is not None:
            peer.watchdog.cancel()
        peer.subscription.close()
        await _settled(peer.connection)
        await peer.connection.close()

    async def close(self) -> None:
        """Ends all connections once the viewers have what was played; a connection that is stuck does not wait."""
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while any(self._is_draining(peer) for peer in self._peers.values()):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.01)
        await asyncio.gather(*(self.disconnect(viewer_id) for viewer_id in list(self._peers)))
        await asyncio.gather(*self._endings)

    async def _connect(self, connection: RTCPeerConnection, sdp: str, codec: VideoCodec) -> Peer:
        subscription = self._broadcast.subscribe(codec)
        try:
            transceiver = connection.addTransceiver(PacketTrack(subscription), direction="sendonly")
            transceiver.setCodecPreferences(_capabilities(codec))
            _hear_keyframe_requests(transceiver.sender, self._broadcast, codec)
            await _negotiate(connection, sdp)
        except BaseException:
            subscription.close()
            raise
        peer = Peer(uuid4().hex, connection, codec, subscription)
        self._peers[peer.id] = peer
        connection.on("connectionstatechange", lambda: self._follow(peer))
        peer.watchdog = asyncio.get_running_loop().call_later(self._config.connect_seconds, self._give_up, peer)
        return peer

    def _follow(self, peer: Peer) -> None:
        state = peer.connection.connectionState
        if state == "connected" and peer.watchdog is not None:
            peer.watchdog.cancel()
        elif state in ("failed", "closed"):
            self._end(peer)

    def _give_up(self, peer: Peer) -> None:
        if peer.connection.connectionState != "connected":
            logger.info(f"A viewer did not connect in {self._config.connect_seconds:g} s and was let go.")
            self._end(peer)

    def _end(self, peer: Peer) -> None:
        if peer.id not in self._peers:
            return
        task = asyncio.ensure_future(self.disconnect(peer.id))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def _is_draining(self, peer: Peer) -> bool:
        return peer.connection.connectionState == "connected" and not peer.subscription.is_ended


async def _settled(connection: RTCPeerConnection) -> None:
    """Returns when a connection has come about or failed: one that is closed in between leaves a task behind."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    while connection.connectionState == "connecting" and loop.time() < deadline:
        await asyncio.sleep(0.02)


async def _negotiate(connection: RTCPeerConnection, sdp: str) -> None:
    try:
        await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
    except Exception as error:  # aiortc checks little of what it is given: a wrong offer fails anywhere in it
        raise OutputError(f"The offer cannot be answered: {type(error).__name__}: {error}.") from error


def _capabilities(codec: VideoCodec) -> list[RTCRtpCodecCapability]:
    """What aiortc can send of the codec, so that the answer names no other; retransmission included."""
    names = (f"video/{codec}", "video/rtx")
    return [one for one in RTCRtpSender.getCapabilities("video").codecs if one.mimeType.lower() in names]


def _hear_keyframe_requests(sender: RTCRtpSender, broadcast: Broadcast, codec: VideoCodec) -> None:
    """Leads a viewer's picture loss indications to the shared encoder; aiortc knows only encoders of its own."""
    sender._send_keyframe = lambda: broadcast.request_keyframe(codec)  # type: ignore[method-assign]
