"""The streamers keep the rules of their kind, and the plugin those of plugins."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from inferix_core.testing.suites import PluginSuite, StreamerSuite
from inferix_stream.broadcast import Broadcast
from inferix_stream.configuration import (
    BroadcastConfig,
    ContactSheetConfig,
    GifConfig,
    HlsConfig,
    Mp4Config,
    PngFolderConfig,
    RtmpConfig,
)
from inferix_stream.contact_sheet import GAP_PIXELS, LABEL_PIXELS, ContactSheetStreamer
from inferix_stream.gif import GifStreamer
from inferix_stream.hls import HlsStreamer
from inferix_stream.mp4 import Mp4Streamer
from inferix_stream.png_folder import PngFolderStreamer
from inferix_stream.rtmp import RtmpStreamer
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def decoded(path: Path) -> Pixels:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


class TestMp4(StreamerSuite):
    name = "video.mp4"
    max_mean_difference = 4.0

    def streamer(self, target: Path) -> Mp4Streamer:
        return Mp4Streamer(Mp4Config(), target=target)

    def read(self, target: Path) -> Pixels:
        return decoded(target)


class TestOrdinaryMp4(TestMp4):
    def streamer(self, target: Path) -> Mp4Streamer:
        return Mp4Streamer(Mp4Config(fragmented=False), target=target)


class TestGif(StreamerSuite):
    name = "video.gif"
    max_mean_difference = 4.0

    def streamer(self, target: Path) -> GifStreamer:
        return GifStreamer(GifConfig(), target=target)

    def read(self, target: Path) -> Pixels:
        return decoded(target)


class TestPngFolder(StreamerSuite):
    name = "frames"

    def streamer(self, target: Path) -> PngFolderStreamer:
        return PngFolderStreamer(PngFolderConfig(), target=target)

    def read(self, target: Path) -> Pixels:
        return np.concatenate([decoded(path) for path in sorted(target.glob("*.png"))])


class TestContactSheet(StreamerSuite):
    """With a cell for every frame, all of them can be cut out of the sheet again."""

    name = "sheet.png"
    columns = 4

    def streamer(self, target: Path) -> ContactSheetStreamer:
        config = ContactSheetConfig(num_cells=24, num_columns=self.columns, cell_pixels=48)
        return ContactSheetStreamer(config, target=target)

    def read(self, target: Path) -> Pixels:
        (sheet,) = decoded(target)
        height, width, down = 32, 48, 32 + LABEL_PIXELS + GAP_PIXELS
        corners = [
            (top, left)
            for top in range(GAP_PIXELS, sheet.shape[0], down)
            for left in range(GAP_PIXELS, sheet.shape[1], width + GAP_PIXELS)
        ]
        cells = [sheet[top : top + height, left : left + width] for top, left in corners]
        return np.stack([cell for cell in cells if cell.std() > 0])  # the last row may have empty places


class TestHls(StreamerSuite):
    name = "live.m3u8"
    max_mean_difference = 4.0

    def streamer(self, target: Path) -> HlsStreamer:
        return HlsStreamer(HlsConfig(paced=False, bitrate=4_000_000), target=target)

    def read(self, target: Path) -> Pixels:
        return decoded(target)


class TestRtmp(StreamerSuite):
    """FFmpeg is the server; a target in a folder that is missing is one whose server is."""

    max_mean_difference = 5.0

    def streamer(self, target: Path) -> RtmpStreamer:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/world"
        streamer = RtmpStreamer(RtmpConfig(paced=False, bitrate=4_000_000, connect_seconds=10.0), target=address)
        self.pixels: list[Pixels] = []
        if target.parent.is_dir():
            self.receiver = threading.Thread(target=self._receive, args=(address,), daemon=True)
            streamer.open = self._opened_once_the_server_listens(streamer)  # type: ignore[method-assign]
        return streamer

    def read(self, target: Path) -> Pixels:
        self.receiver.join(20)
        return np.stack(self.pixels)

    def _opened_once_the_server_listens(self, streamer: RtmpStreamer) -> Callable[[VideoFormat], None]:
        def open_it(video: VideoFormat) -> None:
            self.receiver.start()
            for _ in range(200):
                time.sleep(0.01)
                try:
                    return RtmpStreamer.open(streamer, video)
                except OutputError:
                    continue
            raise AssertionError("the server does not listen")

        return open_it

    def _receive(self, address: str) -> None:
        with contextlib.suppress(av.FFmpegError), av.open(address, options={"listen": "1"}) as container:
            for frame in container.decode(video=0):  # ends by an error: a live stream has no other end
                self.pixels.append(frame.to_ndarray(format="rgb24"))


class Watched(Broadcast):
    """A broadcast with one viewer, who is there from the beginning and keeps what it sees."""

    def __init__(self, target: Path) -> None:
        super().__init__(BroadcastConfig(paced=False, bitrate=4_000_000, viewer_queue_seconds=10.0))
        self.path = target

    def open(self, video: VideoFormat) -> None:
        if not self.path.parent.is_dir():
            raise OutputError("No viewer can be shown this.")
        super().open(video)
        self.viewer = self.subscribe("h264")


class TestBroadcast(StreamerSuite):
    """What every WebRTC viewer is sent."""

    max_mean_difference = 5.0

    def streamer(self, target: Path) -> Watched:
        self.watched = Watched(target)
        return self.watched

    def read(self, target: Path) -> Pixels:
        decoder, pictures = av.CodecContext.create("h264", "r"), {}
        while (frame := self.watched.viewer.take()) is not None:
            for picture in decoder.decode(av.Packet(frame.data)):
                pictures.setdefault(frame.number, picture.to_ndarray(format="rgb24"))
        return np.stack(list(pictures.values()))


class TestPlugin(PluginSuite):
    module = "inferix_stream.plugin"
    distribution = "inferix-stream"
