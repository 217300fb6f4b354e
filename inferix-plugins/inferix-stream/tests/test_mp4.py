from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import WriteError
from inferix_stream.configuration import Mp4Config
from inferix_stream.mp4 import Mp4Streamer


def test_what_is_written_comes_back_in_number_size_rate_and_colour(tmp_path, make_frames, write_all, decode):
    frames = make_frames(40)
    write_all(Mp4Streamer(Mp4Config(), target=tmp_path / "a.mp4"), frames)
    decoded = decode(tmp_path / "a.mp4")
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 4.0
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == 16.0
        assert container.duration == pytest.approx(40 / 16 * av.time_base)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (6, 1)


@pytest.mark.parametrize("fps", [23.976, 24.0, 7.5])
def test_the_clock_is_the_content_rate_also_when_it_is_no_whole_number(tmp_path, make_frames, write_all, fps):
    write_all(Mp4Streamer(Mp4Config(), target=tmp_path / "a.mp4"), make_frames(24), fps=fps)
    with av.open(str(tmp_path / "a.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert times == pytest.approx([index / fps for index in range(24)], abs=1e-3)


def test_odd_sizes_are_rounded_up_by_repeating_the_edge(tmp_path, make_frames, write_all, decode):
    frames = make_frames(13, height=33, width=45)
    frames[:, -1] = frames[:, :, -1] = (30, 200, 30)
    write_all(Mp4Streamer(Mp4Config(), target=tmp_path / "a.mp4"), frames)
    decoded = decode(tmp_path / "a.mp4").astype(int)
    assert decoded.shape == (13, 34, 46, 3)
    assert np.abs(decoded[:, -1, :40] - (30, 200, 30)).mean() < 20
    assert np.abs(decoded[:, :30, -1] - (30, 200, 30)).mean() < 20


def test_a_growing_file_plays_up_to_its_last_fragment(tmp_path, make_frames, make_blocks, decode):
    frames = make_frames(72)
    streamer = Mp4Streamer(Mp4Config(), target=tmp_path / "a.mp4")
    streamer.open(VideoFormat(32, 48, 16.0))
    for block in make_blocks(frames):
        streamer.write(block)
    # 72 frames were given; the encoder holds 8 back and the fragment that began at frame 48 is not complete.
    assert len(decode(tmp_path / "a.mp4")) == 48
    streamer.close()
    assert len(decode(tmp_path / "a.mp4")) == 72


def test_shorter_fragments_put_frames_on_disk_sooner(tmp_path, make_frames, make_blocks, decode):
    streamer = Mp4Streamer(Mp4Config(fragment_seconds=0.25, lookahead_frames=0), target=tmp_path / "a.mp4")
    streamer.open(VideoFormat(32, 48, 16.0))
    for block in make_blocks(make_frames(24)):
        streamer.write(block)
    assert len(decode(tmp_path / "a.mp4")) == 20
    streamer.close()


def test_keyframes_come_as_often_as_configured(tmp_path, make_frames, write_all):
    write_all(Mp4Streamer(Mp4Config(keyframe_seconds=0.5), target=tmp_path / "a.mp4"), make_frames(32))
    with av.open(str(tmp_path / "a.mp4")) as container:
        keyframes = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert [index for index, is_keyframe in enumerate(keyframes) if is_keyframe] == [0, 8, 16, 24]


def test_a_higher_crf_makes_a_smaller_file(tmp_path, write_all):
    noise = np.random.default_rng(0).integers(0, 256, (12, 32, 48, 3), np.uint8)
    for crf in (10, 40):
        write_all(Mp4Streamer(Mp4Config(crf=crf), target=tmp_path / f"{crf}.mp4"), noise)
    assert (tmp_path / "40.mp4").stat().st_size < 0.5 * (tmp_path / "10.mp4").stat().st_size


def write_each(streamer, blocks):
    for block in blocks:
        streamer.write(block)


def boxes(path: Path) -> list[str]:
    data, place, names = path.read_bytes(), 0, []
    while place < len(data):
        names.append(data[place + 4 : place + 8].decode())
        place += int.from_bytes(data[place : place + 4], "big")
    return names


def test_an_unfragmented_file_has_its_index_in_front_and_the_same_frames(tmp_path, make_frames, write_all, decode):
    frames = make_frames(40)
    write_all(Mp4Streamer(Mp4Config(), target=tmp_path / "fragments.mp4"), frames)
    write_all(Mp4Streamer(Mp4Config(fragmented=False), target=tmp_path / "whole.mp4"), frames)
    assert boxes(tmp_path / "fragments.mp4").count("moof") == 3
    assert "moof" not in boxes(tmp_path / "whole.mp4")
    assert boxes(tmp_path / "whole.mp4").index("moov") < boxes(tmp_path / "whole.mp4").index("mdat")
    np.testing.assert_array_equal(decode(tmp_path / "whole.mp4"), decode(tmp_path / "fragments.mp4"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fragments.mp4", "whole.mp4"]


def test_without_room_for_the_copy_the_fragmented_file_stays(tmp_path, make_blocks, decode, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 48, 3), np.uint8)
    streamer = Mp4Streamer(Mp4Config(fragmented=False), target=tmp_path / "a.mp4")
    streamer.open(VideoFormat(32, 48, 16.0))
    for block in make_blocks(noise):
        streamer.write(block)
    real_open = av.open

    def open_unless_copy(file, mode=None, *arguments, **options):
        if mode == "w" and str(file).endswith(".partial"):
            raise OSError(28, "No space left on device")
        return real_open(file, mode, *arguments, **options)

    monkeypatch.setattr("inferix_stream.remux.av.open", open_unless_copy)
    with pytest.raises(WriteError, match="can be played, but stays fragmented"):
        streamer.close()
    assert len(decode(tmp_path / "a.mp4")) == 24


def test_a_full_disk_keeps_the_finished_fragments_and_says_how_many_frames(tmp_path, make_blocks, decode, full_disk):
    noise = np.random.default_rng(0).integers(0, 256, (120, 32, 48, 3), np.uint8)
    blocks = make_blocks(noise)
    streamer = Mp4Streamer(Mp4Config(), target=tmp_path / "a.mp4")
    streamer.open(VideoFormat(32, 48, 16.0))
    with full_disk(60_000):
        with pytest.raises(WriteError) as caught:
            write_each(streamer, blocks)
        num_safe = len(decode(tmp_path / "a.mp4"))
        assert num_safe in (16, 32, 48, 64, 80)
        assert f"The first {num_safe} frames ({num_safe / 16:.1f} s) are safe in it" in str(caught.value)
        with pytest.raises(WriteError, match="after the first failure"):
            streamer.write(blocks[-1])
        streamer.close()
        streamer.close()
    decoded = decode(tmp_path / "a.mp4")
    assert len(decoded) == num_safe
    assert boxes(tmp_path / "a.mp4")[-1] == "mdat"


def test_a_disk_that_fills_in_the_last_fragment_is_told_once(tmp_path, make_blocks, decode, full_disk):
    noise = np.random.default_rng(0).integers(0, 256, (36, 32, 48, 3), np.uint8)
    streamer = Mp4Streamer(Mp4Config(), target=tmp_path / "a.mp4")
    streamer.open(VideoFormat(32, 48, 16.0))
    for block in make_blocks(noise):
        streamer.write(block)
    num_before = len(decode(tmp_path / "a.mp4"))
    with full_disk((tmp_path / "a.mp4").stat().st_size + 1000):
        with pytest.raises(WriteError, match="failed at frame 36"):
            streamer.close()
        streamer.close()
    assert len(decode(tmp_path / "a.mp4")) == num_before == 16


def test_an_interrupt_while_writing_loses_no_frame_that_was_encoded(tmp_path, make_frames, make_blocks, decode):
    frames = make_frames(36)
    first, second, third = make_blocks(frames)
    streamer = Mp4Streamer(Mp4Config(), target=tmp_path / "a.mp4")
    streamer.open(VideoFormat(32, 48, 16.0))
    streamer.write(first)
    file = streamer._file
    append, file._file.append = file._file.append, lambda piece: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        streamer.write(second)
    file._file.append = append
    streamer.close()
    assert len(decode(tmp_path / "a.mp4")) == 24
    assert third.index == 2
