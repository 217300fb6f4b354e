from __future__ import annotations

import av
import numpy as np
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError
from inferix_stream.configuration import PngFolderConfig
from inferix_stream.png_folder import PngFolderStreamer


def read_png(path):
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 45)])
def test_every_frame_comes_back_exactly(tmp_path, write_all, height, width):
    frames = np.random.default_rng(0).integers(0, 256, (14, height, width, 3), np.uint8)
    write_all(PngFolderStreamer(PngFolderConfig(), target=tmp_path / "out"), frames)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"frame_{index:06d}.png" for index in range(14)]
    for name, frame in zip(names, frames, strict=True):
        np.testing.assert_array_equal(read_png(tmp_path / "out" / name), frame)


def test_an_earlier_run_goes_with_the_first_block_and_nothing_else_does(tmp_path, make_frames, make_blocks):
    for name in ("frame_000000.png", "frame_000099.png", "frame_a.png", "notes.txt"):
        (tmp_path / name).write_text("old")
    streamer = PngFolderStreamer(PngFolderConfig(), target=tmp_path)
    streamer.open(VideoFormat(32, 48, 16.0))
    assert (tmp_path / "frame_000099.png").exists()
    streamer.write(make_blocks(make_frames(2))[0])
    streamer.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["frame_000000.png", "frame_000001.png", "frame_a.png", "notes.txt"]
    assert read_png(tmp_path / "frame_000000.png").shape == (32, 48, 3)


def test_without_overwrite_a_folder_with_frames_is_refused_and_left_alone(tmp_path):
    (tmp_path / "frame_000000.png").write_text("old")
    streamer = PngFolderStreamer(PngFolderConfig(overwrite=False), target=tmp_path)
    with pytest.raises(OutputError, match="already holds 1 frames"):
        streamer.open(VideoFormat(32, 48, 16.0))
    assert (tmp_path / "frame_000000.png").read_text() == "old"


def test_a_run_without_a_frame_leaves_no_folder(tmp_path):
    streamer = PngFolderStreamer(PngFolderConfig(), target=tmp_path / "out")
    streamer.open(VideoFormat(32, 48, 16.0))
    streamer.close()
    streamer.close()
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="it is a file, and a folder is needed"):
        PngFolderStreamer(PngFolderConfig(), target=tmp_path / "out").open(VideoFormat(32, 48, 16.0))


def test_a_full_disk_leaves_whole_pictures_only(tmp_path, make_blocks, full_disk):
    frames = np.zeros((3, 32, 48, 3), np.uint8)
    frames[2] = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    streamer = PngFolderStreamer(PngFolderConfig(), target=tmp_path / "out")
    streamer.open(VideoFormat(32, 48, 16.0))
    with full_disk(2000), pytest.raises(WriteError, match=r"The first 2 frames \(0.1 s\) are safe"):
        streamer.write(make_blocks(frames)[0])
    streamer.close()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frame_000000.png", "frame_000001.png"]
