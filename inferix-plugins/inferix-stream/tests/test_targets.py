from __future__ import annotations

import numpy as np
import pytest
import torch
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from inferix_core.events import Block
from inferix_stream.plugin import inferix_streamers

VIDEO = VideoFormat(32, 48, 16.0)
ALL = {spec.name: spec for spec in inferix_streamers()}
SPECS = {name: spec for name, spec in ALL.items() if any(one == "folder" or one[0] == "." for one in spec.targets)}
FILES = [name for name in SPECS if name != "png-folder"]


def build(name, target):
    return SPECS[name].load()(SPECS[name].config(), target=target)


def suffix(name):
    return "" if SPECS[name].targets[0] == "folder" else SPECS[name].targets[0]


def block(*, height=32, width=48):
    return Block(index=7, frames=torch.zeros((4, height, width, 3), dtype=torch.uint8), latents=range(3))


@pytest.mark.parametrize("name", SPECS)
def test_a_missing_folder_is_found_when_opening(tmp_path, name):
    target = tmp_path / "missing" / f"a{suffix(name)}"
    with pytest.raises(OutputError, match=r"missing' does not exist\. Create the folder first"):
        build(name, target).open(VIDEO)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SPECS)
def test_a_file_where_a_folder_is_needed_is_found_when_opening(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        build(name, tmp_path / "file" / f"a{suffix(name)}").open(VIDEO)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_is_needed_is_found_when_opening(tmp_path, name):
    (tmp_path / f"a{suffix(name)}").mkdir()
    with pytest.raises(OutputError, match="it is a folder, and a file is needed"):
        build(name, tmp_path / f"a{suffix(name)}").open(VIDEO)


@pytest.mark.parametrize("name", SPECS)
def test_what_the_operating_system_refuses_is_found_when_opening(tmp_path, name):
    too_long = "x" * 300
    with pytest.raises(OutputError, match="File name too long"):
        build(name, tmp_path / f"{too_long}{suffix(name)}").open(VIDEO)


@pytest.mark.parametrize("name", FILES)
def test_an_earlier_file_stays_until_the_first_frame_is_written(tmp_path, name):
    target = tmp_path / f"a{suffix(name)}"
    target.write_bytes(b"precious" * 10_000)
    streamer = build(name, target)
    streamer.open(VIDEO)
    streamer.close()
    assert target.read_bytes() == b"precious" * 10_000
    streamer = build(name, target)
    streamer.open(VIDEO)
    streamer.write(block())
    streamer.close()
    assert b"precious" not in target.read_bytes()


@pytest.mark.parametrize("name", SPECS)
def test_a_run_that_fails_before_its_first_frame_leaves_nothing(tmp_path, name):
    streamer = build(name, tmp_path / f"a{suffix(name)}")
    streamer.open(VIDEO)
    streamer.close()
    streamer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SPECS)
def test_closing_what_was_never_opened_does_nothing(tmp_path, name):
    build(name, tmp_path / f"a{suffix(name)}").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SPECS)
def test_frames_of_another_size_are_refused_and_the_rest_is_kept(tmp_path, name):
    streamer = build(name, tmp_path / f"a{suffix(name)}")
    streamer.open(VIDEO)
    streamer.write(block())
    with pytest.raises(OutputError, match=r"Block 7 has frames of shape \(4, 64, 48, 3\)"):
        streamer.write(block(height=64))
    streamer.close()
    assert (tmp_path / f"a{suffix(name)}").exists()


@pytest.mark.parametrize("name", SPECS)
def test_writing_before_opening_or_after_closing_is_an_error(tmp_path, name):
    streamer = build(name, tmp_path / f"a{suffix(name)}")
    with pytest.raises(OutputError, match="not open"):
        streamer.write(block())
    streamer.open(VIDEO)
    streamer.write(block())
    streamer.close()
    with pytest.raises(OutputError, match="closed"):
        streamer.write(block())


@pytest.mark.parametrize("name", SPECS)
def test_the_frames_of_a_block_are_not_changed(tmp_path, name):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 32, 48, 3), np.uint8))
    before = frames.clone()
    streamer = build(name, tmp_path / f"a{suffix(name)}")
    streamer.open(VIDEO)
    streamer.write(Block(index=0, frames=frames, latents=range(3)))
    streamer.close()
    assert torch.equal(frames, before)


def test_a_size_that_the_encoder_refuses_is_found_when_opening(tmp_path):
    with pytest.raises(OutputError, match="refuses 40000×40000"):
        build("mp4", tmp_path / "a.mp4").open(VideoFormat(40_000, 40_000, 16.0))
    assert list(tmp_path.iterdir()) == []
