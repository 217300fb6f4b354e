from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.events import Block

FPS = 16.0


@pytest.fixture
def make_frames() -> Callable[..., np.ndarray]:
    """Frames whose colours tell them apart: a square moves over a background that brightens."""

    def make(num: int, *, height: int = 32, width: int = 48) -> np.ndarray:
        frames = np.zeros((num, height, width, 3), np.uint8)
        for index, frame in enumerate(frames):
            frame[...] = (40 + 2 * (index % 60), 90, 160)
            left = index % (width - 12)
            frame[8:20, left : left + 12] = (210, 60, 40)
        return frames

    return make


@pytest.fixture
def painted() -> Callable[..., np.ndarray]:
    """Frames whose numbers can be read back from a lossy picture: a bar for each of ten bits."""

    def paint(numbers: Iterable[int], *, height: int = 96, width: int = 160) -> np.ndarray:
        numbers = list(numbers)
        frames = np.full((len(numbers), height, width, 3), 60, np.uint8)
        for frame, number in zip(frames, numbers, strict=True):
            for bit in range(10):
                frame[16:64, 16 * bit : 16 * bit + 16] = 230 if number >> bit & 1 else 20
        return frames

    return paint


@pytest.fixture
def number_in() -> Callable[[np.ndarray], int]:
    """The number that is painted in a picture."""

    def read(picture: np.ndarray) -> int:
        return sum(int(picture[30:50, 16 * bit + 5 : 16 * bit + 11].mean() > 125) << bit for bit in range(10))

    return read


@pytest.fixture
def make_blocks() -> Callable[..., list[Block]]:
    """Blocks of up to `size` frames."""

    def make(frames: np.ndarray, *, size: int = 12) -> list[Block]:
        parts = [frames[start : start + size] for start in range(0, len(frames), size)]
        return [
            Block(index=index, frames=torch.from_numpy(part), latents=range(3 * index, 3 * index + 3))
            for index, part in enumerate(parts)
        ]

    return make


@pytest.fixture
def write_all(make_blocks: Callable[..., list[Block]]) -> Callable[..., None]:
    """Writes frames through a streamer from open to close."""

    def write(streamer: Any, frames: np.ndarray, *, fps: float = FPS) -> None:
        streamer.open(VideoFormat(height=frames.shape[1], width=frames.shape[2], fps=fps))
        for block in make_blocks(frames):
            streamer.write(block)
        streamer.close()

    return write


@pytest.fixture
def decode() -> Callable[[Path], np.ndarray]:
    """The frames of a video file."""

    def frames_of(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])

    return frames_of


@pytest.fixture
def full_disk() -> Callable[[int], Any]:
    """A context in which no file can grow beyond so many bytes: the same system call fails as on a full disk."""

    @contextmanager
    def limited(num_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
