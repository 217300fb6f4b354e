"""A streamer for tests of what an author's own code streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from inferix_core.events import Block

if TYPE_CHECKING:
    from torch import Tensor


class ToyStreamer:
    """Keeps a copy of every block's frames `[T, H, W, 3]` in `parts`; saves them as `.npy` if it has a target."""

    def __init__(self, target: Path | None = None) -> None:
        self.parts: list[Tensor] = []
        self.video: VideoFormat | None = None
        self.is_closed = False
        self._target = target

    def open(self, video: VideoFormat) -> None:
        """See `Streamer.open`."""
        if self._target is not None and not self._target.parent.is_dir():
            raise OutputError(f"The folder of '{self._target}' does not exist. Create it first.")
        self.video = video

    def write(self, block: Block) -> None:
        """See `Streamer.write`."""
        if self.video is None or self.is_closed:
            raise OutputError(f"Block {block.index} cannot be written: the toy streamer is not open. Call open first.")
        expected, found = (self.video.height, self.video.width, 3), tuple(block.frames.shape[1:])
        if found != expected:
            raise OutputError(
                f"Block {block.index} has frames of {found}, but the toy streamer was opened for {expected}. "
                "Open another one."
            )
        self.parts.append(block.frames.clone())

    def close(self) -> None:
        """See `Streamer.close`."""
        if self.parts and self._target is not None and not self.is_closed:
            with self._target.open("wb") as file:
                np.save(file, np.concatenate([part.numpy() for part in self.parts]))
        self.is_closed = True
