"""Video encoders for live viewers: every frame comes out at once, and a keyframe when it is asked for.

Letters: H height, W width.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError

from inferix_stream.configuration import H264Encoder
from inferix_stream.pixels import Pixels, pad_to_even

Codec = Literal["h264", "vp8", "mjpeg"]
TIME_BASE = Fraction(1, 90_000)
"""The ticks that live video is timed in, RTP's."""

BITS_PER_PIXEL = 0.12
SMALLEST_BITRATE = 400_000
BT709, BT601_MATRIX, LIMITED_RANGE = 1, 6, 1  # as in an mp4: see mp4.py


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How a live encoder is set: `bitrate` in bits per second, by size if None; `jpeg_quality` from 1 to 100."""

    h264: H264Encoder = "auto"
    bitrate: int | None = None
    keyframe_seconds: float = 2.0
    jpeg_quality: int = 80
    is_baseline: bool = False
    has_global_header: bool = False


class LiveEncoder:
    """Encodes frames `[H, W, 3]` one by one, none held back.

    Odd sizes are rounded up to even ones by repeating the last row or column: 4:2:0 has no odd sizes.
    """

    def __init__(
        self,
        codec: Codec,
        video: VideoFormat,
        settings: EncoderSettings,
        *,
        context: VideoCodecContext | None = None,
    ) -> None:
        """Opens the encoder; `OutputError` if it refuses the size. `context` is a container's own, made by name."""
        name = encoder_name(codec, settings)
        self.context = context or _new_context(name)
        self.name = name
        _open(self.context, name, video, settings)
        self._is_jpeg = codec == "mjpeg"
        self._period = round(1 / (video.fps * TIME_BASE))
        self._last_pts = -1
        self._reformatter = VideoReformatter()

    def encode(
        self, pixels: Pixels, *, media_seconds: float, force_keyframe: bool = False
    ) -> list[Packet[VideoStream]]:
        """The packets of a frame that is shown `media_seconds` after the first; their times only grow."""
        picture = pad_to_even(pixels[None])[0]
        frame = self._reformatter.reformat(
            VideoFrame.from_numpy_buffer(picture, format="rgb24"), format="yuvj420p" if self._is_jpeg else "yuv420p"
        )
        self._last_pts = max(self._last_pts + 1, round(media_seconds / TIME_BASE))
        frame.pts, frame.time_base, frame.duration = self._last_pts, TIME_BASE, self._period
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        return self.context.encode(frame)

    def flush(self) -> list[Packet[VideoStream]]:
        """What the encoder still holds; it takes no more frames."""
        return self.context.encode(None)


def default_bitrate(video: VideoFormat) -> int:
    """Bits per second at which live video of that size looks right."""
    return max(SMALLEST_BITRATE, round(BITS_PER_PIXEL * video.height * video.width * video.fps))


@functools.cache
def has_encoder(name: str) -> bool:
    """Whether an encoder can be opened here; without its device a hardware encoder is there in name alone."""
    try:
        _open(_new_context(name), name, VideoFormat(256, 256, 16.0), EncoderSettings())
    except OutputError:
        return False
    return True


def encoder_name(codec: Codec, settings: EncoderSettings) -> str:
    """What FFmpeg calls the encoder for a codec, e.g. `libx264`."""
    if codec != "h264":
        return {"vp8": "libvpx", "mjpeg": "mjpeg"}[codec]
    if settings.h264 != "auto":
        return settings.h264
    return "h264_nvenc" if has_encoder("h264_nvenc") else "libx264"


def _new_context(name: str) -> VideoCodecContext:
    try:
        context = av.CodecContext.create(name, "w")
    except ValueError as error:
        raise OutputError(
            f"The FFmpeg that PyAV {av.__version__} brings has no encoder {name}. "
            "Install a PyAV from its own wheels: pip install --force-reinstall av."
        ) from error
    assert isinstance(context, VideoCodecContext), "all of these encode video"
    return context


def _open(context: VideoCodecContext, name: str, video: VideoFormat, settings: EncoderSettings) -> None:
    try:
        _configure(context, name, video, settings)
        context.open(strict=False)
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"The encoder {name} refuses {video.width}×{video.height} pixels at {video.fps:g} frames per second "
            f"({error}). Choose another size, another encoder, or another output."
        ) from error


def _configure(context: VideoCodecContext, name: str, video: VideoFormat, settings: EncoderSettings) -> None:
    bitrate = settings.bitrate or default_bitrate(video)
    context.width, context.height = video.width + video.width % 2, video.height + video.height % 2
    context.time_base = TIME_BASE
    context.framerate = Fraction(video.fps).limit_denominator(1001)
    context.thread_count = 1
    context.options = dict(_options(name, video, settings, bitrate))
    if name == "mjpeg":
        context.pix_fmt = "yuvj420p"
        context.qmin = context.qmax = _jpeg_scale(settings.jpeg_quality)
        return
    context.pix_fmt = "yuv420p"
    context.bit_rate = bitrate
    context.gop_size = max(1, round(settings.keyframe_seconds * video.fps))
    if name != "libvpx":
        context.color_primaries = context.color_trc = BT709
        context.colorspace, context.color_range = BT601_MATRIX, LIMITED_RANGE
        context.profile = "Baseline" if settings.is_baseline else "High"
        if settings.has_global_header:
            context.flags |= Flags.global_header


def _options(name: str, video: VideoFormat, settings: EncoderSettings, bitrate: int) -> Mapping[str, str]:
    """The encoder's own options: no frame is held back, and no keyframe comes but by the clock or on request."""
    rate = {"maxrate": str(bitrate), "bufsize": str(bitrate)}
    if name == "libx264":
        return {**rate, "preset": "veryfast", "tune": "zerolatency", "bf": "0", "sc_threshold": "0", "forced-idr": "1"}
    if name == "h264_nvenc":
        return {**rate, "preset": "p4", "tune": "ull", "zerolatency": "1", "bf": "0", "rc": "cbr", "forced-idr": "1"}
    if name == "libvpx":
        return {**rate, "deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "auto-alt-ref": "0"}
    return {}


def _jpeg_scale(quality: int) -> int:
    """FFmpeg's scale of JPEG quality, from 2 (best) to 31, for one from 1 to 100."""
    return round(31 - (quality - 1) * 29 / 99)
