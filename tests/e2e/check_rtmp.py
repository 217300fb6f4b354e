"""A world pushed to a real RTMP server and pulled from it again, frame by frame."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import torch
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.events import Block
from inferix_serve import Client
from inferix_stream.configuration import RtmpConfig
from inferix_stream.rtmp import RtmpStreamer
from nginx_rtmp import NginxRtmp, Player, marked_number, painted, wait_for
from serving import inferix_serve

VIDEO = VideoFormat(96, 160, 24.0)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[NginxRtmp]:
    server = NginxRtmp(tmp_path)
    server.start()
    yield server
    server.stop()


def blocks(numbers: range, *, size: int = 12) -> Iterator[Block]:
    for index, start in enumerate(range(numbers.start, numbers.stop, size)):
        part = range(start, min(start + size, numbers.stop))
        yield Block(index=index, frames=torch.from_numpy(painted(part)), latents=range(3))


def opened(nginx: NginxRtmp, **settings: object) -> RtmpStreamer:
    streamer = RtmpStreamer(RtmpConfig(**settings), target=nginx.url)
    streamer.open(VIDEO)
    return streamer


def test_every_frame_that_is_pushed_is_pulled_without_a_gap(nginx: NginxRtmp) -> None:
    player = Player(nginx.url)
    player.start()  # waits on the server for the stream to begin
    time.sleep(0.5)
    streamer = opened(nginx, keyframe_seconds=20.0)
    started = time.monotonic()
    for block in blocks(range(240)):
        streamer.write(block)
    streamer.close()
    seconds = time.monotonic() - started
    assert seconds > 9.3, "paced by the content's rate"
    player.join(20)
    print(f"pushed 240 frames in 20 blocks, pulled {len(player.numbers)}, {player.num_keyframes} keyframe")
    assert player.numbers == list(range(240)), "no block is lost, and no frame of any"
    assert player.num_keyframes == 1, "the decoder is not reset between blocks"
    assert 239 / 24 - 0.05 < player.times[-1] - player.times[0] < seconds + 0.05, "a stall on a busy machine is shown"
    assert streamer.num_frames_dropped == 0


def test_a_player_that_joins_late_loses_nothing_from_its_first_frame_on(nginx: NginxRtmp) -> None:
    streamer = opened(nginx, keyframe_seconds=1.0)
    player = Player(nginx.url)
    for block in blocks(range(120)):
        streamer.write(block)
        if block.index == 3:
            player.start()
    streamer.close()
    player.join(20)
    first = player.numbers[0]
    assert first > 0
    assert player.numbers == list(range(first, 120))


def test_a_server_that_restarts_is_found_again_and_the_world_never_waits(nginx: NginxRtmp) -> None:
    streamer = opened(nginx, first_retry_seconds=0.2, longest_retry_seconds=0.5)
    for block in blocks(range(48)):
        streamer.write(block)
    nginx.stop()
    started = time.monotonic()
    for block in blocks(range(48, 144)):
        streamer.write(block)
    assert time.monotonic() - started < 96 / 24 + 3.0, "without a server the world goes on at its rate"
    assert streamer.num_frames_dropped > 24
    nginx.start()
    player = Player(nginx.url)
    player.start()
    number = 144
    while streamer.num_connections < 2:
        assert number < 400, "it never connected again"
        for block in blocks(range(number, number + 12)):
            streamer.write(block)
        number += 12
    num_dropped = streamer.num_frames_dropped
    for block in blocks(range(number, number + 120)):
        streamer.write(block)
    streamer.close()
    player.join(20)
    assert player.numbers == list(range(player.numbers[0], number + 120)), "no gap from the frame on that it joined at"
    assert len(player.numbers) > 48
    assert streamer.num_frames_dropped == num_dropped, "nothing was lost after it came back"


def test_a_world_is_generated_into_a_stream_from_the_command_line(nginx: NginxRtmp, tmp_path: Path) -> None:
    player = Player(nginx.url, silence_seconds=10.0)  # a busy machine may take long for a block
    player.start()
    command = [sys.executable, "-m", "inferix_core.cli", "generate", "a red ball bounces", "--seconds", "4"]
    environment = {**os.environ, "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run([*command, "-o", nginx.url], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert nginx.url in done.stdout
    player.join(30)
    num_waits = sum(later - former > 1.5 / 16 for former, later in pairwise(player.times))
    assert 64 <= len(player.times) <= 65 + 2 * num_waits + 2 * round(player.times[-1]), "the last frame is repeated"
    assert player.times == sorted(player.times)
    assert player.times[-1] >= 63 / 16 - 0.1


def test_a_world_that_a_server_shows_goes_out_to_a_media_server_too(nginx: NginxRtmp, tmp_path: Path) -> None:
    marks = ("--set", "serve.mark_frames=true")
    player = Player(nginx.url, silence_seconds=10.0, read=marked_number)
    player.start()
    with inferix_serve(tmp_path, *marks, "--output", nginx.url) as address, Client(address) as client:
        world = client.create_world("a red ball bounces")
        (output,) = client.outputs
        assert (output["world"], output["target"]) == (world.id, f"rtmp://127.0.0.1:{nginx.port}/…")
        wait_for(lambda: client.outputs[0]["frames"] >= 64, seconds=120.0)
        assert client.outputs[0]["dropped"] == 0
        world.close()
        written = client.outputs[0]["frames"]
    player.join(30)
    shown = [number for number, _ in groupby(player.numbers)]  # a frame is repeated while the next are made
    print(f"the server wrote {written} frames, {len(shown)} were pulled")
    assert shown == list(range(shown[0], shown[0] + len(shown))), "no frame is missing"
    assert len(shown) >= written - 1


def test_a_stream_that_the_server_has_not_got_is_refused_before_anything_is_generated(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inferix_core.cli", "generate", "a ball", "-o", "rtmp://127.0.0.1:1/live/world"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 2
    assert "does not take the stream: Connection refused" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    wait_for(lambda: not list(tmp_path.iterdir()))
