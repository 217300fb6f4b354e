"""Frames as one array: readable all the time, and nothing that was there is lost early."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.defaults.npy import NpyStreamer
from inferix_core.errors import OutputError, WriteError
from inferix_core.events import Block
from inferix_core.specs import ComponentConfig

VIDEO = VideoFormat(height=4, width=6, fps=16.0)


def block(index: int, num_frames: int = 3) -> Block:
    generator = torch.Generator().manual_seed(index)
    frames = torch.randint(0, 256, (num_frames, 4, 6, 3), generator=generator).to(torch.uint8)
    return Block(index=index, frames=frames, latents=range(index, index + 1))


def opened(target: Path) -> NpyStreamer:
    streamer = NpyStreamer(ComponentConfig(), target=str(target))
    streamer.open(VIDEO)
    return streamer


def test_the_array_holds_every_frame_in_order(tmp_path: Path) -> None:
    streamer = opened(tmp_path / "world.npy")
    blocks = [block(index, num_frames=1 + 40 * index) for index in range(4)]
    for one in blocks:
        streamer.write(one)
    streamer.close()
    streamer.close()
    expected = np.concatenate([one.frames.numpy() for one in blocks])
    np.testing.assert_array_equal(np.load(tmp_path / "world.npy"), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["world.npy"]


def test_the_file_is_readable_after_every_block(tmp_path: Path) -> None:
    streamer = opened(tmp_path / "world.npy")
    for index in range(3):
        streamer.write(block(index))
        assert np.load(tmp_path / "world.npy.part").shape == (3 * (index + 1), 4, 6, 3)
    streamer.close()


def test_an_older_file_stays_until_there_is_a_frame_to_replace_it(tmp_path: Path) -> None:
    target = tmp_path / "world.npy"
    target.write_bytes(b"older")
    opened(target).close()
    assert target.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_and_a_folder_as_target_are_found_on_opening(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        opened(tmp_path / "nowhere" / "world.npy")
    with pytest.raises(OutputError, match="is a folder"):
        opened(tmp_path)


def test_a_full_disk_is_told_and_the_frames_before_stay_readable(tmp_path: Path) -> None:
    class FullDisk:
        """A file that takes no more frames."""

        def __init__(self, file: object) -> None:
            self._inner = file

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    streamer = opened(tmp_path / "world.npy")
    streamer.write(block(0))
    streamer._file = FullDisk(streamer._file)  # type: ignore[assignment]
    with pytest.raises(WriteError, match="after 3 frames: No space left"):
        streamer.write(block(1))
    streamer.close()
    np.testing.assert_array_equal(np.load(tmp_path / "world.npy"), block(0).frames.numpy())


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    streamer = NpyStreamer(ComponentConfig(), target=str(tmp_path / "world.npy"))
    streamer.open(VideoFormat(height=8, width=6, fps=16.0))
    with pytest.raises(OutputError, match=r"\(8, 6, 3\), found \(4, 6, 3\)"):
        streamer.write(block(0))
