"""The streamers of this package."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import StreamerSpec

from inferix_stream.configuration import ContactSheetConfig, GifConfig, Mp4Config, PngFolderConfig


@hookimpl
def inferix_streamers() -> Iterable[StreamerSpec]:
    """Files and folders that any player or viewer opens."""
    yield StreamerSpec(
        name="mp4",
        summary="H.264 video, playable while it grows",
        implementation="inferix_stream.mp4:Mp4Streamer",
        config=Mp4Config,
        targets=(".mp4",),
    )
    yield StreamerSpec(
        name="gif",
        summary="animated GIF that loops for ever",
        implementation="inferix_stream.gif:GifStreamer",
        config=GifConfig,
        targets=(".gif",),
    )
    yield StreamerSpec(
        name="png-folder",
        summary="one lossless PNG for each frame: frame_000000.png, …",
        implementation="inferix_stream.png_folder:PngFolderStreamer",
        config=PngFolderConfig,
        targets=("folder",),
    )
    yield StreamerSpec(
        name="contact-sheet",
        summary="one PNG with a grid of evenly spaced frames and their times",
        implementation="inferix_stream.contact_sheet:ContactSheetStreamer",
        config=ContactSheetConfig,
        targets=(".png",),
    )
