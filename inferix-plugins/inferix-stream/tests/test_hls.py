from __future__ import annotations

import functools
import http.server
import re
import threading
import time
from pathlib import Path

import av
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError
from inferix_stream.configuration import HlsConfig
from inferix_stream.hls import HlsStreamer
from inferix_stream.hls_playlist import Segment, playlist

VIDEO = VideoFormat(96, 160, 24.0)


@pytest.fixture
def write(painted, make_blocks):
    def write_numbers(streamer, numbers):
        for block in make_blocks(painted(numbers)):
            streamer.write(block)

    return write_numbers


@pytest.fixture
def served(tmp_path):
    """The address of a web server for the test's folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def streamer_in(folder, **settings):
    config = HlsConfig(**{"paced": False, "segment_seconds": 0.5, **settings})
    streamer = HlsStreamer(config, target=folder / "live.m3u8")
    streamer.open(VIDEO)
    return streamer


def read(address, number_in):
    with av.open(str(address)) as container:
        frames = list(container.decode(video=0))
    return [number_in(frame.to_ndarray(format="rgb24")) for frame in frames], [frame.time for frame in frames]


def uris(playlist_path):
    return [line for line in playlist_path.read_text().splitlines() if not line.startswith("#")]


def test_all_frames_of_all_blocks_are_pulled_over_http(tmp_path, write, served, number_in):
    streamer = streamer_in(tmp_path)
    write(streamer, range(100))
    streamer.close()
    numbers, times = read(f"{served}/live.m3u8", number_in)
    assert numbers == list(range(100))
    assert times == pytest.approx([index / 24 for index in range(100)], abs=1e-3), "one timeline, without a hole"


def test_a_player_that_joins_a_live_stream_sees_it_to_its_end(tmp_path, write, served, number_in):
    streamer = streamer_in(tmp_path, paced=True)
    writing = threading.Thread(target=lambda: (write(streamer, range(96)), streamer.close()))
    writing.start()
    wait_for(lambda: (tmp_path / "live.m3u8").exists())
    numbers, _ = read(f"{served}/live.m3u8", number_in)
    writing.join()
    assert numbers == list(range(numbers[0], 96))
    assert numbers[0] <= 24


def test_every_segment_begins_with_a_keyframe_and_is_decoded_alone(tmp_path, write, number_in):
    streamer = streamer_in(tmp_path)
    write(streamer, range(60))
    streamer.close()
    (header,) = (tmp_path / "live_segments").glob("*-init.mp4")
    for index, uri in enumerate(uris(tmp_path / "live.m3u8")):
        (tmp_path / "one.mp4").write_bytes(header.read_bytes() + (tmp_path / uri).read_bytes())
        numbers, _ = read(tmp_path / "one.mp4", number_in)
        assert numbers == list(range(12 * index, min(60, 12 * index + 12)))


def test_the_playlist_says_what_players_need(tmp_path, write):
    streamer = streamer_in(tmp_path)
    write(streamer, range(30))
    wait_for(lambda: (tmp_path / "live.m3u8").exists() and len(uris(tmp_path / "live.m3u8")) == 2)
    text = (tmp_path / "live.m3u8").read_text()
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n")
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text
    assert "#EXT-X-ENDLIST" not in text
    assert "DISCONTINUITY" not in text
    streamer.close()
    text = (tmp_path / "live.m3u8").read_text()
    assert re.findall(r"#EXTINF:([\d.]+),", text) == ["0.500000", "0.500000", "0.250000"]
    assert text.endswith("#EXT-X-ENDLIST\n")


def test_no_segment_is_longer_than_the_playlist_promises():
    for seconds in (0.1, 0.999, 1.0, 1.001, 6.4):
        text = playlist(
            [Segment("a", seconds)],
            first_number=0,
            header_uri="i",
            longest_seconds=seconds,
            is_event=False,
            is_finished=False,
        )
        (promised,) = re.findall(r"TARGETDURATION:(\d+)", text)
        assert seconds <= int(promised) < seconds + 1


def test_a_window_slides_and_segments_stay_a_while_for_players_that_are_behind(tmp_path, write, number_in):
    streamer = streamer_in(tmp_path, playlist="window", num_segments=3)
    write(streamer, range(120))
    streamer.close()
    text = (tmp_path / "live.m3u8").read_text()
    assert "#EXT-X-MEDIA-SEQUENCE:7\n" in text
    assert "PLAYLIST-TYPE" not in text
    numbers, _ = read(tmp_path / "live.m3u8", number_in)
    assert numbers == list(range(84, 120))
    assert len(list((tmp_path / "live_segments").glob("*.m4s"))) == 6


def test_whoever_reads_at_any_moment_finds_whole_files(tmp_path, write):
    streamer = streamer_in(tmp_path, segment_seconds=0.1)
    problems, done = [], threading.Event()

    def look():
        while not done.is_set():
            try:
                text = (tmp_path / "live.m3u8").read_text()
            except FileNotFoundError:
                continue
            if not text.startswith("#EXTM3U") or not text.endswith("\n"):
                problems.append(text)
            segments = [line for line in text.splitlines() if not line.startswith("#")]
            problems.extend(line for line in segments if b"mdat" not in (tmp_path / line).read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(6):
        write(streamer, range(60))
        time.sleep(0.05)
    streamer.close()
    done.set()
    reader.join()
    assert problems == []
    assert not list(tmp_path.rglob("*.partial"))


def test_an_earlier_run_goes_and_other_files_stay(tmp_path, write, number_in):
    for _ in range(2):
        streamer = streamer_in(tmp_path)
        write(streamer, range(24))
        streamer.close()
        (tmp_path / "live_segments" / "notes.m4s").write_text("mine")
    assert len(list((tmp_path / "live_segments").iterdir())) == 1 + 2 + 1
    assert read(tmp_path / "live.m3u8", number_in)[0] == list(range(24))


def test_a_full_disk_leaves_a_playlist_of_whole_segments(tmp_path, write, number_in, full_disk):
    streamer = streamer_in(tmp_path)
    write(streamer, range(36))
    wait_for(lambda: (tmp_path / "live.m3u8").exists() and len(uris(tmp_path / "live.m3u8")) == 2)
    with full_disk(100):
        write(streamer, range(36, 48))
        wait_for(lambda: streamer._playback.failure)
    with pytest.raises(WriteError, match=r"The first 24 frames \(1.0 s\) are safe"):
        write(streamer, range(48, 60))
    streamer.close()
    assert read(tmp_path / "live.m3u8", number_in)[0] == list(range(24))


def test_a_file_where_the_segments_shall_lie_is_found_when_opening(tmp_path):
    (tmp_path / "live_segments").write_text("")
    with pytest.raises(OutputError, match="it is a file, and a folder is needed"):
        streamer_in(tmp_path)


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_the_target_may_be_a_path(tmp_path):
    assert HlsStreamer(HlsConfig(), target=Path(tmp_path / "a.m3u8")).target.endswith("a.m3u8")
