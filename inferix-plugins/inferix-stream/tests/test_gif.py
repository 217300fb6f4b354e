from __future__ import annotations

import numpy as np
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import WriteError
from inferix_stream.configuration import GifConfig
from inferix_stream.gif import GifStreamer


def write_each(streamer, blocks):
    for block in blocks:
        streamer.write(block)


def delays(path):
    """Hundredths of a second that each frame stays, read from the graphic control extensions."""
    data = path.read_bytes()
    places = [
        place for place in range(len(data) - 7) if data[place : place + 3] == b"\x21\xf9\x04" and data[place + 7] == 0
    ]
    return [int.from_bytes(data[place + 4 : place + 6], "little") for place in places]


def test_what_is_written_comes_back_in_number_size_and_colour(tmp_path, make_frames, write_all, decode):
    frames = make_frames(30, height=33, width=45)
    write_all(GifStreamer(GifConfig(), target=tmp_path / "a.gif"), frames)
    decoded = decode(tmp_path / "a.gif")
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 4.0


def test_it_loops_for_ever(tmp_path, make_frames, write_all):
    write_all(GifStreamer(GifConfig(), target=tmp_path / "a.gif"), make_frames(3))
    assert b"NETSCAPE2.0\x03\x01\x00\x00\x00" in (tmp_path / "a.gif").read_bytes()


@pytest.mark.parametrize("fps", [7.3, 16.0, 24.0, 30.0, 50.0])
def test_delays_add_up_to_the_duration(tmp_path, make_frames, write_all, fps):
    write_all(GifStreamer(GifConfig(), target=tmp_path / "a.gif"), make_frames(48), fps=fps)
    assert len(delays(tmp_path / "a.gif")) == 48
    assert sum(delays(tmp_path / "a.gif")) == pytest.approx(4800 / fps, abs=1.0)


def test_above_fifty_frames_per_second_frames_are_left_out_and_the_duration_stays(tmp_path, make_frames, write_all):
    write_all(GifStreamer(GifConfig(), target=tmp_path / "a.gif"), make_frames(120), fps=120.0)
    assert min(delays(tmp_path / "a.gif")) >= 2
    assert sum(delays(tmp_path / "a.gif")) == pytest.approx(100, abs=2.0)


def test_a_later_stretch_has_colours_that_the_first_one_lacks(tmp_path, write_all, decode):
    ramp = np.arange(32, dtype=np.uint8) * 7
    day = np.zeros((1, 32, 32, 3), np.uint8)
    day[..., 0], day[..., 1] = ramp, ramp[:, None]
    night = day[..., [2, 0, 1]]
    frames = np.concatenate([day.repeat(12, 0), night.repeat(12, 0), day.repeat(12, 0)])
    write_all(GifStreamer(GifConfig(palette_seconds=1.0, num_colours=128), target=tmp_path / "a.gif"), frames, fps=12.0)
    errors = np.abs(decode(tmp_path / "a.gif").astype(int) - frames).mean(axis=(1, 2, 3))
    assert errors.shape == (36,)
    assert errors.max() < 8.0


def test_fewer_colours_are_used_when_asked_for(tmp_path, write_all, decode):
    noise = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    write_all(GifStreamer(GifConfig(num_colours=8), target=tmp_path / "a.gif"), noise)
    assert len(np.unique(decode(tmp_path / "a.gif").reshape(-1, 3), axis=0)) <= 8


def test_stretches_are_on_disk_before_the_end(tmp_path, make_frames, make_blocks, decode):
    streamer = GifStreamer(GifConfig(palette_seconds=1.0), target=tmp_path / "a.gif")
    streamer.open(VideoFormat(32, 48, 16.0))
    for block in make_blocks(make_frames(36)):
        streamer.write(block)
    assert len(decode(tmp_path / "a.gif")) in (31, 32)  # the muxer holds a frame until it knows its delay
    streamer.close()
    assert len(decode(tmp_path / "a.gif")) == 36


def test_a_full_disk_keeps_the_stretches_before_it(tmp_path, make_blocks, decode, full_disk):
    noise = np.random.default_rng(0).integers(0, 256, (60, 32, 48, 3), np.uint8)
    streamer = GifStreamer(GifConfig(palette_seconds=0.5), target=tmp_path / "a.gif")
    streamer.open(VideoFormat(32, 48, 16.0))
    with full_disk(60_000):
        with pytest.raises(WriteError) as caught:
            write_each(streamer, make_blocks(noise))
        streamer.close()
    num_safe = len(decode(tmp_path / "a.gif"))
    assert num_safe >= 7
    assert f"The first {num_safe} frames ({num_safe / 16:.1f} s)" in str(caught.value)
