"""The streamers of this package."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import StreamerSpec

from inferix_stream.configuration import (
    ContactSheetConfig,
    GifConfig,
    HlsConfig,
    Mp4Config,
    NullConfig,
    PngFolderConfig,
    RtmpConfig,
    WebRtcConfig,
)


@hookimpl
def inferix_streamers() -> Iterable[StreamerSpec]:
    """Files and folders that any player or viewer opens, and live streams."""
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
    yield StreamerSpec(
        name="hls",
        summary="HLS: fragmented mp4 segments and a playlist, for any web server",
        implementation="inferix_stream.hls:HlsStreamer",
        config=HlsConfig,
        targets=(".m3u8",),
    )
    yield StreamerSpec(
        name="rtmp",
        summary="H.264 in FLV, pushed to an RTMP server",
        implementation="inferix_stream.rtmp:RtmpStreamer",
        config=RtmpConfig,
        targets=("rtmp", "rtmps"),
    )
    yield StreamerSpec(
        name="webrtc",
        summary="VP8 or H.264 for browsers, one encode for all viewers; a server brings their offers",
        implementation="inferix_stream.webrtc:WebRtcStreamer",
        config=WebRtcConfig,
    )
    yield StreamerSpec(
        name="null",
        summary="throws frames away: for measuring a world without an output",
        implementation="inferix_stream.null:NullStreamer",
        config=NullConfig,
        targets=("null",),
    )
