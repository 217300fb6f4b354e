"""How the streamers are configured. Nothing here imports a codec."""

from __future__ import annotations

from typing import Literal

from inferix_core.specs import ComponentConfig
from pydantic import Field

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
BackPressure = Literal["latest", "lossless"]
H264Encoder = Literal["auto", "h264_nvenc", "libx264"]
Dither = Literal["none", "bayer", "floyd_steinberg", "sierra2_4a"]


class Mp4Config(ComponentConfig):
    """How an mp4 is encoded and how often it becomes playable up to the present."""

    crf: float = Field(18.0, ge=0.0, le=51.0, description="Constant rate factor of x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="Speed of x264: slower presets make smaller files.")
    keyframe_seconds: float = Field(
        1.0, gt=0.0, le=60.0, description="Seconds of video between keyframes, where a player can seek to."
    )
    fragment_seconds: float = Field(
        1.0, gt=0.0, le=60.0, description="Seconds of video in a fragment; a killed run loses about one of them."
    )
    lookahead_frames: int = Field(
        8, ge=0, le=60, description="Frames the encoder holds back to spend its bits well; 0 is lowest latency."
    )
    num_threads: int = Field(1, ge=1, le=64, description="Threads of the encoder; more only pays for large frames.")
    fragmented: bool = Field(
        True, description="Leave the file in fragments; false rewrites it as an ordinary mp4 when it is closed."
    )


class GifConfig(ComponentConfig):
    """How a gif's colours are chosen."""

    palette_seconds: float = Field(
        10.0,
        gt=0.0,
        le=60.0,
        description="Seconds of video that share a palette and are held in memory until it is made.",
    )
    num_colours: int = Field(256, ge=4, le=256, description="Colours in a palette.")
    dither: Dither = Field("sierra2_4a", description="How colours that the palette lacks are mixed of those it has.")


class PngFolderConfig(ComponentConfig):
    """How a folder of PNGs is written."""

    overwrite: bool = Field(
        True, description="Remove the frame_*.png of an earlier run first; false refuses a folder that has some."
    )
    compression_level: int = Field(3, ge=0, le=9, description="zlib level: 0 is fastest, 9 smallest; all are lossless.")


class ContactSheetConfig(ComponentConfig):
    """Which frames a contact sheet shows and how they are laid out."""

    num_frames_total: int | None = Field(
        None, ge=1, description="Frames the run will have; if not given the choice is thinned as the run goes on."
    )
    num_cells: int = Field(24, ge=1, le=400, description="Frames on the sheet, evenly spaced over the run.")
    num_columns: int = Field(6, ge=1, le=40, description="Frames in a row.")
    cell_pixels: int = Field(
        320,
        ge=16,
        le=4096,
        description="Longest side of a frame on the sheet, in pixels; small frames are enlarged to fit.",
    )


class LiveConfig(ComponentConfig):
    """What all live outputs share: how frames wait for the clock, and what happens to those that find no room."""

    back_pressure: BackPressure = Field(
        "lossless",
        description="What a full queue does: lossless lets the world wait, latest drops the oldest frames.",
    )
    queue_seconds: float = Field(
        1.0, gt=0.0, le=60.0, description="Seconds of video that wait at most for their time; a block always fits."
    )
    paced: bool = Field(True, description="Play frames at the content's rate; false sends them as they are made.")


class LiveVideoConfig(LiveConfig):
    """How live video is encoded as H.264."""

    encoder: H264Encoder = Field(
        "auto", description="The H.264 encoder; auto takes h264_nvenc where it can be opened, else libx264."
    )
    bitrate: int | None = Field(
        None, ge=50_000, le=200_000_000, description="Bits per second; if not given, by size and frame rate."
    )


class RtmpConfig(LiveVideoConfig):
    """How a world is pushed to an RTMP server."""

    keyframe_seconds: float = Field(
        2.0, gt=0.0, le=60.0, description="Seconds between keyframes, where a viewer can join."
    )

    connect_seconds: float = Field(
        5.0, gt=0.0, le=120.0, description="Seconds in which the server must accept the stream."
    )
    stall_seconds: float = Field(
        5.0, gt=0.0, le=120.0, description="Seconds without progress after which a connection is given up."
    )
    first_retry_seconds: float = Field(
        0.5, gt=0.0, le=60.0, description="Pause before the first attempt to reconnect; it doubles with each."
    )
    longest_retry_seconds: float = Field(10.0, gt=0.0, le=600.0, description="Longest pause between two attempts.")


class HlsConfig(LiveVideoConfig):
    """How a world is cut into segments that players fetch over HTTP."""

    segment_seconds: float = Field(
        1.0, ge=0.1, le=60.0, description="Seconds of video in a segment; each begins with a keyframe."
    )
    playlist: Literal["event", "window"] = Field(
        "event", description="event keeps every segment; window lists the newest and deletes the others."
    )
    num_segments: int = Field(6, ge=3, le=1000, description="Segments in the playlist of a window.")


class BroadcastConfig(LiveVideoConfig):
    """How a world is encoded once for all who watch it."""

    viewer_queue_seconds: float = Field(
        2.0,
        gt=0.0,
        le=60.0,
        description="Seconds of video that wait for one viewer; beyond them that viewer skips to a new keyframe.",
    )
    keyframe_seconds: float = Field(
        10.0, gt=0.0, le=600.0, description="Longest time between keyframes; who joins or loses one asks for it."
    )
    jpeg_quality: int = Field(80, ge=1, le=100, description="Quality of the pictures where video cannot be shown.")


class WebRtcConfig(BroadcastConfig):
    """How a world is shown to browsers."""

    max_viewers: int = Field(32, ge=1, le=10_000, description="Viewers that one world has at most.")
    connect_seconds: float = Field(
        20.0, gt=0.0, le=600.0, description="Seconds in which a viewer must have connected after its offer."
    )
    ice_servers: tuple[str, ...] = Field(
        (), description="STUN or TURN servers as URLs; none are needed on one machine or in one network."
    )


class NullConfig(LiveConfig):
    """How frames are thrown away."""

    paced: bool = Field(False, description="Take frames at the content's rate, as a viewer would.")
