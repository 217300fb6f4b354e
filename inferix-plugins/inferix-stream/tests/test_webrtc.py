"""Viewers in this process, over real connections on the loopback interface."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from inferix_stream.configuration import WebRtcConfig
from inferix_stream.webrtc import WebRtcStreamer

aiortc = pytest.importorskip("aiortc", reason="the extra [webrtc] is not installed")
VIDEO = VideoFormat(96, 160, 24.0)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """aioice leaves out the loopback interface, which is the only one that every machine has."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


class Viewer:
    """A browser's part of a connection: sends an offer and keeps the numbers of the frames that it sees."""

    def __init__(self, number_in):
        self.connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.numbers: list[int] = []
        self.times: list[float] = []
        self._number_in = number_in
        self._watching: asyncio.Task[None] | None = None
        self.connection.on("track", self._on_track)

    async def offer(self) -> str:
        self.connection.addTransceiver("video", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def join(self, streamer, **how):
        answer = await streamer.answer(await self.offer(), **how)
        await self.connection.setRemoteDescription(aiortc.RTCSessionDescription(answer.sdp, answer.type))
        return answer

    async def leave(self):
        await self.connection.close()
        if self._watching is not None:  # of a connection that never came about, nothing ends the track
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def _on_track(self, track):
        self._watching = asyncio.ensure_future(self._watch(track))

    async def _watch(self, track):
        try:
            while True:
                frame = await track.recv()
                self.numbers.append(self._number_in(frame.to_ndarray(format="rgb24")))
                self.times.append(frame.time)
        except aiortc.mediastreams.MediaStreamError:
            return


@pytest.fixture
def run(number_in):
    """Runs a test's coroutine with an open streamer and new viewers; nothing may stay behind."""

    def run_it(test, **settings):
        async def whole():
            streamer = WebRtcStreamer(WebRtcConfig(**settings))
            streamer.open(VIDEO)
            viewers = []

            def viewer():
                viewers.append(Viewer(number_in))
                return viewers[-1]

            try:
                await test(streamer, viewer)
            finally:
                await asyncio.to_thread(streamer.close)
                for one in viewers:
                    await one.leave()
                await streamer.wait_closed()
            try:
                await until(lambda: len(asyncio.all_tasks()) == 1, seconds=3)
            except TimeoutError:
                raise AssertionError(f"these go on: {asyncio.all_tasks()}") from None

        threads, files = threading.active_count(), num_open_files()
        asyncio.run(whole())
        assert threading.active_count() == threads
        assert num_open_files() <= files

    return run_it


@pytest.fixture
def write(painted, make_blocks):
    async def write_numbers(streamer, numbers):
        for block in make_blocks(painted(numbers)):
            await asyncio.to_thread(streamer.write, block)

    return write_numbers


def num_open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def connected(streamer, count):
    await until(lambda: [one.state for one in streamer.viewers] == ["connected"] * count)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_viewer_sees_all_blocks_in_order_and_in_time(run, write, codec):
    async def test(streamer, viewer):
        watcher = viewer()
        await watcher.join(streamer, codec=codec)
        await connected(streamer, 1)
        assert streamer.viewers[0].codec == codec
        await write(streamer, range(96))
        await asyncio.to_thread(streamer.close)
        await until(lambda: watcher.numbers[-1:] == [95])
        assert watcher.numbers == sorted(watcher.numbers)
        assert len(set(watcher.numbers)) >= 0.95 * 96
        times = dict(zip(watcher.numbers, watcher.times, strict=True))
        assert times[90] - times[10] == pytest.approx(80 / 24, abs=0.15), "the content's clock"

    run(test)


def test_viewers_of_both_codecs_share_one_encode_of_each(run, write):
    async def test(streamer, viewer):
        watchers = [viewer() for _ in range(4)]
        for index, watcher in enumerate(watchers):
            await watcher.join(streamer, codec=("vp8", "h264")[index % 2])
        await connected(streamer, 4)
        await write(streamer, range(48))
        await asyncio.to_thread(streamer.close)
        await until(lambda: all(47 in watcher.numbers for watcher in watchers))
        for watcher in watchers:
            assert watcher.numbers == sorted(watcher.numbers)
            assert len(set(watcher.numbers)) >= 0.95 * 48
        assert streamer.statistics.num_frames_encoded <= 2 * 50

    run(test)


def test_a_viewer_who_vanishes_is_forgotten_and_the_others_see_everything(run, write):
    async def test(streamer, viewer):
        staying, leaving = viewer(), viewer()
        await staying.join(streamer)
        await leaving.join(streamer)
        await connected(streamer, 2)
        await write(streamer, range(24))
        await leaving.connection.close()
        await write(streamer, range(24, 72))
        await until(lambda: len(streamer.viewers) == 1)
        await asyncio.to_thread(streamer.close)
        await until(lambda: 71 in staying.numbers)
        assert len(set(staying.numbers)) >= 0.95 * 72

    run(test)


def test_who_never_connects_is_let_go(run):
    async def test(streamer, viewer):
        await streamer.answer(await viewer().offer())
        assert len(streamer.viewers) == 1
        await until(lambda: not streamer.viewers)
        assert streamer.statistics.num_viewers == 0

    run(test, connect_seconds=0.3)


def test_a_lost_picture_brings_a_keyframe(run, write):
    async def test(streamer, viewer):
        watcher = viewer()
        await watcher.join(streamer, codec="vp8")
        await connected(streamer, 1)
        seen = streamer.subscribe("vp8")
        await write(streamer, range(24))
        receiver = watcher.connection.getTransceivers()[0].receiver
        await until(receiver.getSynchronizationSources)
        (source,) = receiver.getSynchronizationSources()
        await receiver._send_rtcp_pli(source.source)
        await write(streamer, range(24, 48))
        frames = []
        await until(lambda: streamer.num_frames_pending == 0)
        while (frame := seen.take()) is not None:
            frames.append(frame)
        seen.close()
        assert sum(frame.is_keyframe for frame in frames) == 2, "one at the beginning, one when it was asked for"

    run(test, keyframe_seconds=60.0)


def test_a_viewer_who_is_told_to_go_is_gone(run):
    async def test(streamer, viewer):
        answer = await viewer().join(streamer)
        await connected(streamer, 1)
        await streamer.disconnect(answer.viewer_id)
        await streamer.disconnect(answer.viewer_id)
        assert streamer.viewers == []

    run(test)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sdp: "", "no video"),
        (lambda sdp: "v=0\r\nnonsense", "no"),
        (lambda sdp: sdp.replace("m=video", "m=audio"), "no"),
        (lambda sdp: sdp.replace("a=recvonly", "a=sendonly"), "takes no video"),
        (lambda sdp: sdp.replace("VP8", "VP7").replace("H264", "H261"), "neither"),
        (lambda sdp: sdp.replace("a=ice-ufrag", "a=nothing"), "cannot be answered"),
        (lambda sdp: sdp[: len(sdp) // 3], "offer"),
        (lambda sdp: sdp + "a=x\r\n" * 60_000, "characters"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_and_leaves_nothing(run, change, message):
    async def test(streamer, viewer):
        with pytest.raises(OutputError, match=message):
            await streamer.answer(change(await viewer().offer()))
        assert streamer.viewers == []
        assert streamer.statistics.num_viewers == 0

    run(test)


def test_a_codec_that_the_viewer_does_not_take_is_named(run):
    async def test(streamer, viewer):
        offer = (await viewer().offer()).replace("H264", "H261")
        with pytest.raises(OutputError, match="h264, but of these it takes vp8"):
            await streamer.answer(offer, codec="h264")

    run(test)


def test_there_are_no_more_viewers_than_allowed(run):
    async def test(streamer, viewer):
        await viewer().join(streamer)
        await connected(streamer, 1)
        with pytest.raises(OutputError, match="1 viewers already"):
            await viewer().join(streamer)

    run(test, max_viewers=1)


def test_a_streamer_that_is_not_open_answers_nobody():
    with pytest.raises(OutputError, match="not open"):
        asyncio.run(WebRtcStreamer(WebRtcConfig()).answer("v=0"))


def test_without_aiortc_opening_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiortc", None)
    monkeypatch.delitem(sys.modules, "inferix_stream.peers", raising=False)
    with pytest.raises(OutputError, match=r"pip install 'inferix-stream\[webrtc\]'"):
        WebRtcStreamer(WebRtcConfig()).open(VIDEO)


def test_painted_numbers_are_read_back(painted, number_in):
    assert [number_in(picture) for picture in painted(range(1000))] == list(np.arange(1000))
