"""The streamer `y4m`: uncompressed video that players and encoders read, e.g. `mpv pond.y4m`.

Letters: T frames, H height, W width.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import torch
from inferix_core.contracts import VideoFormat
from inferix_core.errors import OutputError, WriteError
from inferix_core.events import Block
from inferix_core.specs import ComponentConfig
from torch import Tensor

# Rec. 601, studio range: rows are Y, Cb, Cr of red, green, blue in [0, 255].
_TO_YCC = torch.tensor(
    ((65.738, 129.057, 25.064), (-37.945, -74.494, 112.439), (112.439, -94.154, -18.285)), dtype=torch.float32
).div_(256.0)
_OFFSET = torch.tensor((16.0, 128.0, 128.0))


class Y4MStreamer:
    """Implements `Streamer`. Frames are on the disk when `write` returns."""

    def __init__(self, config: ComponentConfig, *, target: str) -> None:
        self._target = Path(target)
        self._video: VideoFormat | None = None
        self._file: BinaryIO | None = None

    def open(self, video: VideoFormat) -> None:
        """See `Streamer.open`. The file is made with the first frames, so that a run without any leaves none."""
        if not self._target.parent.is_dir():
            raise OutputError(f"The folder of '{self._target}' does not exist. Create it first.")
        self._video = video

    def write(self, block: Block) -> None:
        """See `Streamer.write`."""
        if self._video is None:
            raise OutputError(f"Block {block.index} cannot be written: '{self._target}' is not open.")
        expected, found = (self._video.height, self._video.width, 3), tuple(block.frames.shape[1:])
        if found != expected:
            raise OutputError(f"Block {block.index} has frames of {found}, but '{self._target}' takes {expected}.")
        try:
            if self._file is None:
                self._file = self._target.open("wb")
                self._file.write(_header(self._video))
            for planes in _planes(block.frames):
                self._file.write(b"FRAME\n" + planes.numpy().tobytes())
            self._file.flush()
        except OSError as error:
            raise WriteError(f"'{self._target}' cannot be written: {error}.") from error

    def close(self) -> None:
        """See `Streamer.close`."""
        if self._file is not None:
            self._file.close()
        self._video = self._file = None


def _header(video: VideoFormat) -> bytes:
    rate = Fraction(video.fps).limit_denominator(1001)
    return f"YUV4MPEG2 W{video.width} H{video.height} F{rate.numerator}:{rate.denominator} Ip A1:1 C444\n".encode()


def _planes(frames: Tensor) -> Tensor:
    """Frames `[T, H, W, 3]` of red, green and blue as planes `[T, 3, H, W]` of luma and two of chroma."""
    ycc = frames.cpu().float() @ _TO_YCC.T + _OFFSET
    return ycc.round().clamp(0, 255).to(torch.uint8).permute(0, 3, 1, 2).contiguous()
