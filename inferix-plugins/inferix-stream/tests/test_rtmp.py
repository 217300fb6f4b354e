"""Against FFmpeg as the server, which takes one publisher, and against servers that misbehave."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import av
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from inferix_stream.configuration import RtmpConfig
from inferix_stream.rtmp import RtmpStreamer
from inferix_stream.rtmp_publisher import parsed_address

VIDEO = VideoFormat(96, 160, 48.0)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Server:
    """FFmpeg waits for one publisher; `numbers` are those of the frames that it decoded, `num_keyframes` as it says."""

    def __init__(self, port, number_in):
        self.port = port
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.keyframes: list[int] = []
        self._number_in = number_in
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for(lambda: listens(port))

    def _run(self):
        url = f"rtmp://127.0.0.1:{self.port}/live/world"
        try:
            with av.open(url, options={"listen": "1"}, timeout=(20.0, 3.0)) as container:
                for frame in container.decode(video=0):
                    if frame.key_frame:
                        self.keyframes.append(len(self.numbers))
                    self.numbers.append(self._number_in(frame.to_ndarray(format="rgb24")))
                    self.times.append(frame.time)
        except (av.FFmpegError, OSError):
            return  # live streams end so

    def join(self):
        self._thread.join(20)
        assert not self._thread.is_alive()


def listens(port):
    """Whether somebody listens there, found out without being taken for a publisher."""
    line = f"0100007F:{port:04X} 00000000:0000 0A"
    return line in Path("/proc/net/tcp").read_text()


def num_open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@pytest.fixture
def write(painted, make_blocks):
    def write_numbers(streamer, numbers):
        for block in make_blocks(painted(numbers)):
            streamer.write(block)

    return write_numbers


def streamer_to(port, **settings):
    return RtmpStreamer(RtmpConfig(**settings), target=f"rtmp://127.0.0.1:{port}/live/world")


def test_every_frame_of_every_block_arrives_at_the_content_rate_and_the_decoder_is_not_reset(write, number_in):
    server = Server(free_port(), number_in)
    streamer = streamer_to(server.port, keyframe_seconds=10.0)
    threads, files = threading.active_count(), num_open_files()
    streamer.open(VIDEO)
    started = time.monotonic()
    write(streamer, range(120))
    streamer.close()
    assert time.monotonic() - started == pytest.approx(120 / 48, abs=0.4)
    server.join()
    assert server.numbers == list(range(120))
    assert server.keyframes == [0], "ten blocks, one keyframe"
    assert server.times[-1] - server.times[0] == pytest.approx(119 / 48, abs=0.1)
    assert streamer.num_frames_dropped == 0
    assert threading.active_count() < threads, "the server's thread has ended, too"
    assert num_open_files() <= files


def test_odd_sizes_arrive_rounded_up(painted, make_blocks, number_in):
    server = Server(free_port(), number_in)
    streamer = streamer_to(server.port, paced=False)
    streamer.open(VideoFormat(97, 161, 48.0))
    for block in make_blocks(painted(range(24), height=97, width=161)):
        streamer.write(block)
    streamer.close()
    server.join()
    assert server.numbers == list(range(24))


def test_a_world_goes_on_without_its_server_and_what_was_lost_is_counted(write, number_in):
    port = free_port()
    server = Server(port, number_in)
    streamer = streamer_to(port, first_retry_seconds=0.1, longest_retry_seconds=0.2, paced=True)
    streamer.open(VIDEO)
    gone = socket.socket()
    write(streamer, range(24))
    streamer._link._publisher.close()  # the cable is pulled
    server.join()
    started = time.monotonic()
    write(streamer, range(24, 120))
    assert time.monotonic() - started < 96 / 48 + 0.5, "lossless, but nobody waits for a server that is gone"
    again = Server(port, number_in)
    wait_for(lambda: write(streamer, range(200, 212)) or streamer.num_connections == 2)
    write(streamer, range(300, 348))
    streamer.close()
    gone.close()
    again.join()
    assert server.numbers == list(range(len(server.numbers)))
    assert again.numbers[-48:] == list(range(300, 348)), "after the new connection nothing is lost"
    seen = len(server.numbers) + len(again.numbers)
    assert 0 <= streamer.num_frames_written - streamer.num_frames_dropped - seen <= 12, "what the wire had taken"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "speaks no RTMP"),
        (b"", "closed the connection|Connection reset|Broken pipe"),
        (None, "timed out"),
    ],
)
def test_what_is_no_rtmp_server_is_found_when_opening(answer, message):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                if answer is None:
                    time.sleep(1.5)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        started = time.monotonic()
        with pytest.raises(OutputError, match=message):
            streamer_to(server.getsockname()[1], connect_seconds=0.5).open(VIDEO)
        assert time.monotonic() - started < 1.4
        thread.join()


def test_a_server_that_is_not_there_is_found_when_opening():
    with pytest.raises(OutputError, match="Connection refused"):
        streamer_to(free_port()).open(VIDEO)


@pytest.mark.parametrize("url", ["rtmp://", "rtmp://host", "rtmp://host/live", "rtmp:///live/x", "rtmp://h:99999/a/b"])
def test_an_address_without_all_its_parts_is_an_error_that_shows_the_form(url):
    with pytest.raises(OutputError, match=r"Write rtmp://host\[:port\]/application/name"):
        RtmpStreamer(RtmpConfig(), target=url).open(VIDEO)


def test_the_name_of_a_stream_is_the_last_part_and_keeps_its_query():
    address = parsed_address("rtmps://media.example/live/eu/world?key=a/b")
    assert (address.port, address.application, address.stream) == (443, "live/eu", "world?key=a/b")
    assert address.application_url == "rtmps://media.example:443/live/eu"
    assert parsed_address("rtmp://[::1]:1936/a/b").application_url == "rtmp://[::1]:1936/a"
