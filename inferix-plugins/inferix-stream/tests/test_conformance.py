"""The streamers keep the rules of their kind, and the plugin those of plugins."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from inferix_core.testing.suites import PluginSuite, StreamerSuite
from inferix_stream.configuration import ContactSheetConfig, GifConfig, Mp4Config, PngFolderConfig
from inferix_stream.contact_sheet import GAP_PIXELS, LABEL_PIXELS, ContactSheetStreamer
from inferix_stream.gif import GifStreamer
from inferix_stream.mp4 import Mp4Streamer
from inferix_stream.png_folder import PngFolderStreamer
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


class TestPlugin(PluginSuite):
    module = "inferix_stream.plugin"
    distribution = "inferix-stream"
