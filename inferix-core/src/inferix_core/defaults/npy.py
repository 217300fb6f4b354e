"""The streamer that writes one numpy array."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError
from inferix_core.specs import ComponentConfig

if TYPE_CHECKING:
    from inferix_core.events import Block


class NpyStreamer:
    """Frames `[T, H, W, 3]` uint8 in one `.npy` file.

    They are written beside the target under the name `<target>.part`, which is renamed on `close`, so
    that an older file stays until there is something to replace it. The header is brought up to date
    with every block: numpy can read the file whenever the program ends.
    """

    def __init__(self, config: ComponentConfig, *, target: str) -> None:
        self._target = Path(target)
        self._part = self._target.with_name(f"{self._target.name}.part")
        self._file: BinaryIO | None = None
        self._frame_shape = (0, 0, 3)
        self._num_frames = 0

    def open(self, video: VideoFormat) -> None:
        """Creates the part file."""
        folder = self._target.parent
        if not folder.is_dir():
            raise OutputError(f"The folder '{folder}' of '{self._target}' does not exist. Create it first.")
        if self._target.is_dir():
            raise OutputError(f"'{self._target}' is a folder. Name a file.")
        if self._target.exists() and not os.access(self._target, os.W_OK):
            raise OutputError(f"'{self._target}' may not be written. Choose another name or change its permissions.")
        try:
            self._file = self._part.open("w+b")
        except OSError as error:
            raise OutputError(f"'{self._target}' cannot be written: {error.strerror}.") from error
        self._frame_shape = (video.height, video.width, 3)

    def write(self, block: Block) -> None:
        """Appends the block's frames."""
        if self._file is None:
            raise OutputError(f"'{self._target}' is not open. Call open first.")
        frames = np.ascontiguousarray(block.frames.numpy())
        if frames.shape[1:] != self._frame_shape:
            raise OutputError(
                f"'{self._target}' was opened for frames of {self._frame_shape}, found {frames.shape[1:]}."
            )
        try:
            if self._num_frames == 0:
                self._write_header()
            self._file.seek(0, os.SEEK_END)
            self._file.write(frames.data)
            self._file.flush()
            self._num_frames += len(frames)
            self._write_header()
            self._file.flush()
        except OSError as error:
            raise WriteError(
                f"Writing '{self._target}' failed after {self._num_frames} frames: {error.strerror}. "
                "They stay readable. Make room and run again."
            ) from error

    def close(self) -> None:
        """Renames the part file; without a single frame there is none to keep."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # `write` has told of what could not be flushed; the rest is on disk
            self._file.close()
        self._file = None
        if self._num_frames:
            self._part.replace(self._target)
        else:
            self._part.unlink(missing_ok=True)

    def _write_header(self) -> None:
        # numpy pads the header so that the first axis can grow without moving the data.
        assert self._file is not None
        self._file.seek(0)
        shape = (self._num_frames, *self._frame_shape)
        npy_format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})
