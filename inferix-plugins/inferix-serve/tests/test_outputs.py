"""Worlds that go out as streams besides to viewers."""

import asyncio
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from inferix_core.errors import ConfigError, OutputError, WriteError
from inferix_core.events import Block
from inferix_serve import Client
from inferix_serve.feed import Shown
from inferix_serve.pictures import marked
from inferix_serve.problems import RefusedError
from inferix_serve.settings import settings_from
from inferix_serve.web.outputs import Channel, label_of
from serve_toys import quick_engine, quick_server, wait_until
from test_webrtc import HEIGHT, WIDTH, LargeDecoder, number_in

FPS = 40.0


def large_server(folder: Path, *outputs: Path) -> Any:
    engine = quick_engine(decoder=LargeDecoder(), fps=FPS, height=HEIGHT, width=WIDTH)
    targets = [str(path) for path in outputs]
    return quick_server(folder, engine=engine, mark_frames=True, outputs=targets, limits={"max_viewers": 2})


def num_frames(client: Client) -> int:
    return int(client.outputs[0]["frames"])


def pictures_in(playlist: Path) -> list[np.ndarray]:
    """What a player shows that is given the playlist."""
    with av.open(str(playlist)) as container:
        frames = list(container.decode(video=0))
    times = [frame.time for frame in frames]
    assert np.allclose(np.diff(times), 1 / FPS, atol=2e-3), "the stream has one timeline"
    return [frame.to_ndarray(format="rgb24") for frame in frames]


def test_a_world_goes_out_as_hls_without_a_break_and_so_does_the_next_one(tmp_path: Path) -> None:
    with large_server(tmp_path / "serve", tmp_path / "live.m3u8") as client:
        (idle,) = client.outputs
        assert idle == {"number": 0, "target": "live.m3u8", "world": None, "frames": 0, "dropped": 0, "failed": False}
        first = client.create_world("a pond")
        wait_until(lambda: num_frames(client) > 60)
        assert (client.outputs[0]["world"], first.view["viewers"]) == (first.id, 1)
        second = client.create_world("a pond")
        assert client.outputs[0]["world"] == first.id, "an output that is taken stays with its world"
        assert client.show_on_output(0, second.id)["world"] == second.id
        wait_until(lambda: first.view["viewers"] == 0)
        before = num_frames(client)
        wait_until(lambda: num_frames(client) > before + 60)
        assert client.outputs[0]["dropped"] == 0
        client.show_on_output(0, None)
        written = num_frames(client)
    numbers = [number_in(picture) for picture in pictures_in(tmp_path / "live.m3u8")]
    turn = next(at for at, number in enumerate(numbers) if at and number < numbers[at - 1])
    assert len(numbers) == written
    for part in (numbers[:turn], numbers[turn:]):
        assert part == list(range(part[0], part[0] + len(part))), "no frame is missing"


def test_an_output_whose_world_is_closed_takes_the_next_one(tmp_path: Path) -> None:
    with large_server(tmp_path / "serve", tmp_path / "live.m3u8") as client:
        client.create_world("a pond").close()
        wait_until(lambda: client.outputs[0]["world"] is None)
        second = client.create_world("a pond")
        assert client.outputs[0]["world"] == second.id


def test_an_output_can_only_show_what_is_there(tmp_path: Path) -> None:
    with large_server(tmp_path / "serve", tmp_path / "live.m3u8") as client:
        for number, world in ((1, None), (0, "0" * 20)):
            with pytest.raises(RefusedError) as refused:
                client.show_on_output(number, world)
            assert refused.value.status == 404
        assert client.outputs[0]["world"] is None
        with pytest.raises(RefusedError, match="pattern"):
            client.show_on_output(0, "../x")


@pytest.mark.parametrize("target", ["movie.mp4", "/etc/passwd", "http://host/live", "live"])
def test_only_live_outputs_are_taken(target: str) -> None:
    with pytest.raises(ConfigError, match="no live output"):
        settings_from({"outputs": [target]})


def test_a_media_server_that_is_not_there_is_said_before_the_server_starts(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="does not take the stream"),
        quick_server(tmp_path, outputs=["rtmp://127.0.0.1:1/live/secret"]),
    ):
        pass


def test_keys_of_streams_and_folders_are_not_told() -> None:
    assert label_of("rtmp://name:word@host:1936/live/secret-key") == "rtmp://host:1936/…"
    assert label_of("/srv/secret/live.m3u8") == "live.m3u8"


class FullDisk:
    """A streamer whose disk is full."""

    num_frames_written = num_frames_dropped = num_tries = 0

    def write(self, _block: Block) -> None:
        self.num_tries += 1
        raise WriteError("No space left.")


def test_a_stream_that_fails_says_so_and_holds_nobody_up() -> None:
    async def show_two() -> Channel:
        channel = Channel("live.m3u8", cast("Any", FullDisk()))
        for number in range(2):
            channel.show(Shown(number, 0, marked(np.zeros((HEIGHT, WIDTH, 3), np.uint8), number), None))
        return channel

    channel = asyncio.run(show_two())
    assert channel.view["failed"]
    assert cast("Any", channel.streamer).num_tries == 1
