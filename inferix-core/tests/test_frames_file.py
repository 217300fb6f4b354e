"""Pictures and videos that worlds begin with, from files."""

import importlib
import struct
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inferix_core.cli import frames_file
from inferix_core.cli.frames_file import read_picture, read_video
from inferix_core.errors import ConfigError, UnsupportedError

av = pytest.importorskip("av")
image = pytest.importorskip("PIL.Image")

ORIENTATION = 0x0112
NUM_FRAMES, HEIGHT, WIDTH = 30, 48, 64


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Noise, which a codec cannot make small, with the index of its frames at the beginning."""
    path = tmp_path / "noise.mp4"
    write(path, torch.randint(0, 256, (NUM_FRAMES, HEIGHT, WIDTH, 3), dtype=torch.uint8).numpy())
    return path


def write(path: Path, pixels: Sequence[Any]) -> None:
    """An mp4, or by its suffix another, of frames `[h, w, 3]` uint8."""
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("h264", rate=16)
        stream.height, stream.width = pixels[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in [*(av.VideoFrame.from_ndarray(one, format="rgb24") for one in pixels), None]:
            for packet in stream.encode(frame):
                container.mux(packet)


def test_a_video_is_all_of_its_frames(video: Path) -> None:
    frames = read_video(video)
    assert (frames.shape, frames.dtype) == ((NUM_FRAMES, HEIGHT, WIDTH, 3), torch.uint8)
    assert float(frames.float().std()) > 10.0


def test_a_video_stands_as_the_camera_was_held(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[: HEIGHT // 2, :, 0], pixels[HEIGHT // 2 :, :, 2] = 250, 250  # red above blue
    path = tmp_path / "a.mp4"
    write(path, [pixels] * 3)
    turn_clockwise(path)
    frames = read_video(path)
    assert frames.shape == (3, WIDTH, HEIGHT, 3)
    assert int(frames[0, WIDTH // 2, 5, 2]) > 200, "blue to the left"
    assert int(frames[0, WIDTH // 2, HEIGHT - 5, 0]) > 200, "red to the right"


def turn_clockwise(path: Path) -> None:
    """Makes the display matrix in a track's header that of a camera turned by a quarter."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    assert struct.unpack_from(">2i", content, start) == (1 << 16, 0)
    struct.pack_into(">5i", content, start, 0, 1 << 16, 0, -(1 << 16), 0)
    path.write_bytes(content)


def test_a_video_that_takes_too_much_memory_is_refused_on_the_way(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_file, "MAX_BYTES", 10 * HEIGHT * WIDTH * 3)
    with pytest.raises(ConfigError, match=r"more than 10 frames of 48x64.*Cut it"):
        read_video(video)
    monkeypatch.setattr(frames_file, "MAX_BYTES", NUM_FRAMES * HEIGHT * WIDTH * 3)
    assert len(read_video(video)) == NUM_FRAMES


def test_a_video_whose_frames_change_their_size_is_refused(tmp_path: Path) -> None:
    parts = []
    for width in (WIDTH, WIDTH // 2):
        write(tmp_path / "part.h264", [np.zeros((HEIGHT, width, 3), np.uint8)] * 3)
        parts.append((tmp_path / "part.h264").read_bytes())
    (tmp_path / "both.h264").write_bytes(b"".join(parts))
    with pytest.raises(ConfigError, match=r"several sizes \(48x32, 48x64\)"):
        read_video(tmp_path / "both.h264")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_is_one_frame_and_stands_as_the_camera_was_held(tmp_path: Path, suffix: str) -> None:
    picture = image.new("RGB", (20, 40), (0, 0, 250))
    picture.paste((250, 0, 0), (0, 0, 20, 20))  # red above blue
    turned = picture.getexif()
    turned[ORIENTATION] = 6  # to be turned clockwise by a quarter
    picture.save(tmp_path / f"plain.{suffix}")
    picture.save(tmp_path / f"turned.{suffix}", exif=turned)
    plain, upright = (read_picture(tmp_path / f"{name}.{suffix}") for name in ("plain", "turned"))
    assert plain.shape == (1, 40, 20, 3)
    assert upright.shape == (1, 20, 40, 3)
    assert int(upright[0, 10, 5, 2]) > 200, "blue to the left"
    assert int(upright[0, 10, 35, 0]) > 200, "red to the right"


def test_a_picture_with_transparency_or_without_colours_is_red_green_and_blue(tmp_path: Path) -> None:
    for mode, colour in (("RGBA", (9, 8, 7, 255)), ("L", 9), ("P", 0)):
        image.new(mode, (4, 6), colour).save(tmp_path / "a.png")
        assert read_picture(tmp_path / "a.png").shape == (1, 6, 4, 3)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(index * 37 % 256 for index in range(3000))
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def sound_alone(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(32000))


@pytest.mark.parametrize("spoil", [cut, damage, empty, sound_alone])
def test_a_video_that_is_not_whole_is_named_and_nothing_of_it_is_taken(video: Path, spoil: Any) -> None:
    spoil(video)
    with pytest.raises(ConfigError, match=r"'.*noise\.mp4' cannot be read as a video: .*Give an mp4") as told:
        read_video(video)
    assert "Errno" not in str(told.value)


@pytest.mark.parametrize("read", [read_picture, read_video])
def test_a_file_that_is_missing_is_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(ConfigError, match="There is no file"):
        read(tmp_path / "absent")


@pytest.mark.parametrize(("read", "module", "package"), [(read_picture, "PIL", "pillow"), (read_video, "av", "av")])
def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any, module: str, package: str
) -> None:
    imported = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == module:
            raise ImportError(f"No module named '{name}'")
        return imported(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(UnsupportedError, match=f"the package {package}, .*pip install 'inferix-core\\[media\\]'"):
        read(tmp_path / "a.png")
