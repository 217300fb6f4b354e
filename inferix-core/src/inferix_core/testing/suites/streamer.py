"""The rules of streamers that write to a file or a folder.

Letters: T frames, H height, W width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from inferix_core.contracts.streamer import Streamer, VideoFormat
from inferix_core.errors import OutputError
from inferix_core.events import Block
from inferix_core.testing.suites.base import Suite, rule

VIDEO = VideoFormat(height=32, width=48, fps=8.0)


class StreamerSuite(Suite):
    """Supply `streamer` and `read`; say how far what is read may be from what was written."""

    name = "video.out"
    """The file or folder that is written, with the suffix that the streamer is chosen by."""

    max_mean_difference = 0.0
    """Mean difference of 8-bit values that the format loses at most; 0 is lossless."""

    def streamer(self, target: Path) -> Streamer:
        """A new streamer to `target`."""
        raise NotImplementedError("Supply `streamer`: return a streamer to the target.")

    def read(self, target: Path) -> NDArray[np.uint8]:
        """All frames `[T, H, W, 3]` of what was written."""
        raise NotImplementedError("Supply `read`: return the frames of what lies at the target.")

    @rule
    def test_what_was_written_is_read_again(self, tmp_path: Path) -> None:
        streamer, parts = self.streamer(tmp_path / self.name), [frames(1), frames(4, start=1), frames(7, start=5)]
        streamer.open(VIDEO)
        for index, part in enumerate(parts):
            streamer.write(block(index, part.clone()))
        streamer.close()
        self._check(tmp_path / self.name, torch.cat(parts))

    @rule
    def test_closing_twice_is_closing_once(self, tmp_path: Path) -> None:
        streamer = self.streamer(tmp_path / self.name)
        streamer.open(VIDEO)
        streamer.write(block(0, frames(5)))
        streamer.close()
        streamer.close()
        self._check(tmp_path / self.name, frames(5))

    @rule
    def test_a_streamer_that_was_never_opened_can_be_closed(self, tmp_path: Path) -> None:
        self.streamer(tmp_path / self.name).close()
        assert not list(tmp_path.iterdir())

    @rule
    def test_a_run_without_frames_leaves_nothing(self, tmp_path: Path) -> None:
        streamer = self.streamer(tmp_path / self.name)
        streamer.open(VIDEO)
        streamer.close()
        assert not list(tmp_path.iterdir())

    @rule
    def test_opening_finds_out_that_the_target_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError):
            self.streamer(tmp_path / "missing" / self.name).open(VIDEO)
        assert not list(tmp_path.iterdir()), "a mistyped folder is not made"

    @rule
    def test_nothing_is_written_before_opening(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError):
            self.streamer(tmp_path / self.name).write(block(0, frames(1)))

    @rule
    def test_nothing_is_written_after_closing(self, tmp_path: Path) -> None:
        streamer = self.streamer(tmp_path / self.name)
        streamer.open(VIDEO)
        streamer.write(block(0, frames(1)))
        streamer.close()
        with pytest.raises(OutputError):
            streamer.write(block(1, frames(1, start=1)))

    @rule
    def test_frames_of_another_size_are_refused(self, tmp_path: Path) -> None:
        streamer = self.streamer(tmp_path / self.name)
        streamer.open(VIDEO)
        with pytest.raises(OutputError):
            streamer.write(block(0, frames(2)[:, :16]))
        streamer.close()

    @rule
    def test_what_was_written_before_a_refused_block_stays(self, tmp_path: Path) -> None:
        streamer = self.streamer(tmp_path / self.name)
        streamer.open(VIDEO)
        streamer.write(block(0, frames(5)))
        try:
            streamer.write(block(1, frames(2)[:, :16]))
        except OutputError:
            pass
        else:
            return  # another rule's concern
        streamer.close()
        self._check(tmp_path / self.name, frames(5))

    @rule
    def test_the_frames_of_a_block_stay_as_they_are(self, tmp_path: Path) -> None:
        streamer, given = self.streamer(tmp_path / self.name), frames(5)
        streamer.open(VIDEO)
        streamer.write(block(0, given))
        streamer.close()
        assert torch.equal(given, frames(5))

    def _check(self, target: Path, written: Tensor) -> None:
        found, expected = self.read(target), written.numpy()
        assert found.shape == expected.shape, f"{expected.shape} was written, {found.shape} was read"
        difference = float(np.abs(found.astype(int) - expected.astype(int)).mean())
        assert difference <= self.max_mean_difference


def frames(count: int, *, start: int = 0) -> Tensor:
    """Frames `[T, H, W, 3]` that differ: a square moves over a background that brightens."""
    made = torch.zeros(count, VIDEO.height, VIDEO.width, 3, dtype=torch.uint8)
    for index, frame in enumerate(made, start=start):
        frame[...] = torch.tensor((40 + 6 * (index % 30), 90, 160), dtype=torch.uint8)
        left = 2 * index % (VIDEO.width - 12)
        frame[8:20, left : left + 12] = torch.tensor((210, 60, 40), dtype=torch.uint8)
    return made


def block(index: int, pictures: Tensor) -> Block:
    """A block of those frames."""
    return Block(index=index, frames=pictures, latents=range(3 * index, 3 * index + 3))
