"""How the streamers are configured. Nothing here imports a codec."""

from __future__ import annotations

from typing import Literal

from inferix_core.specs import ComponentConfig
from pydantic import Field

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
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
