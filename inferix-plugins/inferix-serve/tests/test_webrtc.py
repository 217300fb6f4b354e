"""Worlds over WebRTC, with aiortc at both ends."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from inferix_core.testing.toys import ToyDecoder
from inferix_serve import Client
from inferix_serve.pictures import marked
from inferix_serve.web.broadcasts import Broadcasts
from serve_toys import quick_engine, quick_server, quick_settings, wait_until
from websockets.asyncio.client import connect

aiortc = pytest.importorskip("aiortc")
HEIGHT, WIDTH = 96, 128


class LargeDecoder(ToyDecoder):
    """Frames that are large enough for a video codec."""

    def decode(self, latents: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        frames, state = super().decode(latents, state)
        return frames.repeat_interleave(HEIGHT // 8, dim=2).repeat_interleave(WIDTH // 16, dim=3), state


@pytest.fixture(params=["vp8", "h264"])
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def large(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    # aioice leaves the loopback out, and some machines have nothing else
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    engine = quick_engine(decoder=LargeDecoder(), fps=20.0, height=HEIGHT, width=WIDTH)
    with quick_server(tmp_path, engine=engine, codec=codec, mark_frames=True) as client:
        yield client


def number_in(frame: np.ndarray) -> int:
    """The number that `marked` painted."""
    return sum(1 << bit for bit in range(24) if frame[1:3, bit * 4 + 1 : bit * 4 + 3].mean() > 128)


async def watched(client: Client, world: str, *, num_frames: int) -> tuple[list[int], str]:
    """The numbers of the frames that a WebRTC viewer sees, and the codec of the answer."""
    parts = urlsplit(client._address)
    connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    try:
        async with connect(f"ws://{parts.netloc}/v1/worlds/{world}/live", proxy=None) as socket:
            await socket.send(json.dumps({"type": "offer", "ref": 1, "sdp": connection.localDescription.sdp}))
            while (answer := json.loads(await socket.recv())).get("ref") != 1:
                pass
            await connection.setRemoteDescription(aiortc.RTCSessionDescription(answer["sdp"], "answer"))
            track = connection.getReceivers()[0].track
            frames = [await asyncio.wait_for(track.recv(), 10) for _ in range(num_frames)]
            return [number_in(frame.to_ndarray(format="rgb24")) for frame in frames], answer["sdp"].lower()
    finally:
        await connection.close()


def test_a_number_that_is_painted_can_be_read() -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert [number_in(marked(black, number)) for number in (0, 5, 70_000)] == [0, 5, 70_000]
    assert not black.any()


def test_a_viewer_sees_the_frames_in_their_order(large: Client, codec: str) -> None:
    world = large.create_world("a pond")
    numbers, answer = asyncio.run(watched(large, world.id, num_frames=60))
    assert codec in answer
    fresh = sorted(set(numbers))
    assert numbers == sorted(numbers)
    assert len(fresh) >= 0.95 * (fresh[-1] - fresh[0] + 1)
    assert len(fresh) >= 50


def test_viewers_share_a_world_and_leave_nothing_behind(large: Client) -> None:
    world = large.create_world("a pond")

    async def together() -> list[tuple[list[int], str]]:
        return await asyncio.gather(*(watched(large, world.id, num_frames=25) for _ in range(3)))

    for numbers, _ in asyncio.run(together()):
        assert len(set(numbers)) >= 20
    wait_until(lambda: "inferix_webrtc_viewers 0.0" in large.metrics())
    wait_until(lambda: world.view["viewers"] == 0)


def test_an_offer_that_makes_no_sense_is_refused_and_the_viewer_stays(large: Client) -> None:
    world = large.create_world("a pond")
    with world.live() as live:
        for sdp in ("", "nonsense", "v=0\r\n" * 500):
            with pytest.raises(Exception, match="offer"):
                live.ask("offer", sdp=sdp)
        next(live.pictures())


class SlowBroadcasts(Broadcasts):
    """Answers an offer when it may."""

    def __init__(self, geometry: Any, settings: Any) -> None:
        super().__init__(geometry, settings)
        self.may_answer = asyncio.Event()

    async def _answered(self, streamer: Any, sdp: str) -> Any:
        await self.may_answer.wait()
        return await super()._answered(streamer, sdp)


class Bystanders:
    """A feed that shows nothing."""

    def __init__(self) -> None:
        self.viewers: set[Any] = set()
        self.add = self.viewers.add


def test_who_comes_while_the_last_viewer_goes_is_not_sent_away(tmp_path: Path, codec: str) -> None:
    async def come_and_go() -> None:
        connections = [aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[])) for _ in range(2)]
        offers = []
        for connection in connections:
            connection.addTransceiver("video", direction="recvonly")
            await connection.setLocalDescription(await connection.createOffer())
            offers.append(connection.localDescription.sdp)
        geometry = quick_engine(height=HEIGHT, width=WIDTH).geometry
        broadcasts, feed = SlowBroadcasts(geometry, quick_settings(tmp_path, codec=codec)), cast("Any", Bystanders())
        broadcasts.may_answer.set()
        first = await broadcasts.answer(feed, offers[0])
        broadcasts.may_answer.clear()
        coming = asyncio.create_task(broadcasts.answer(feed, offers[1]))
        await asyncio.sleep(0)
        await broadcasts.leave(feed, first.viewer_id)
        broadcasts.may_answer.set()
        second = await coming
        assert (broadcasts.num_viewers, len(feed.viewers)) == (1, 1)
        await broadcasts.leave(feed, second.viewer_id)
        assert (broadcasts.num_viewers, len(feed.viewers)) == (0, 0)
        for connection in connections:
            await connection.close()

    asyncio.run(come_and_go())
