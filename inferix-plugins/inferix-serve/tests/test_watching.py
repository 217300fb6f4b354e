import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from inferix_core.testing.toys import ToyDecoder
from inferix_serve import Client
from inferix_serve.live import Live, Picture
from inferix_serve.problems import RefusedError
from inferix_serve.wire import PICTURE_HEADER
from serve_toys import NUM_BLOCK_FRAMES, quick_engine, quick_server, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


class NoiseDecoder(ToyDecoder):
    """Frames of noise, whose JPEGs are large."""

    height, width = 240, 320

    def decode(self, latents: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        frames, state = super().decode(latents, state)
        return torch.rand(len(frames), 3, self.height, self.width) * 2 - 1, state


def number_of(received: str | bytes) -> int | None:
    """The number of a picture; None for other messages."""
    return None if isinstance(received, str) else int(PICTURE_HEADER.unpack_from(received)[1])


def seen(live: Live, num_pictures: int) -> list[Picture]:
    pictures = live.pictures()
    return [next(pictures) for _ in range(num_pictures)]


def until(live: Live, kind: str) -> dict[str, Any]:
    return next(dict(found) for found in live if not isinstance(found, Picture) and found["type"] == kind)


def raw_socket(client: Client, world: str, **options: Any) -> Any:
    parts = urlsplit(client._address)
    return connect(f"ws://{parts.netloc}/v1/worlds/{world}/live", proxy=None, **options)


def test_a_viewer_sees_every_frame_in_its_order_and_in_its_time(client: Client) -> None:
    with client.create_world("a pond").live() as live:
        first = seen(live, 1)
        started = time.monotonic()
        numbers = [picture.number for picture in first + seen(live, 120)]
        seconds = time.monotonic() - started
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert seconds > 0.9 * 120 / 80


def test_a_picture_is_the_frame_that_was_made(client: Client) -> None:
    world = client.create_world("a pond", seed=3, paused=True)
    with world.live() as live:
        world.step()
        (picture,) = [one for one in seen(live, 5) if one.number == 4]
    reference = client._http.get(f"/v1/worlds/{world.id}/blocks/0/picture").content
    same = Picture(4, 0, reference).frame
    assert picture.frame.shape == (8, 16, 3)
    assert np.abs(picture.frame.astype(int) - same.astype(int)).mean() < 12  # JPEG at two qualities


def test_all_viewers_see_the_same_frames(client: Client) -> None:
    world = client.create_world("a pond")
    with world.live() as one, world.live() as other:
        first = {picture.number: picture.jpeg for picture in seen(one, 60)}
        second = {picture.number: picture.jpeg for picture in seen(other, 60)}
    common = first.keys() & second.keys()
    assert len(common) > 40
    assert all(first[number] == second[number] for number in common)


def test_a_command_is_acknowledged_with_the_block_that_shows_it(client: Client) -> None:
    with client.create_world("a pond").live() as live:
        seen(live, 10)
        acknowledged = live.ask("signal", action="left", id="mine")
        block = next(found for found in live if not isinstance(found, Picture) and "mine" in found.get("signals", ()))
        shown = until(live, "shown")
    assert block["type"] == "block"
    assert acknowledged["block"] == block["block"] == shown["block"]
    assert block["first_frame"] == shown["frame"]
    assert 0 < shown["age_ms"] < 5000


def test_a_rewind_shows_the_earlier_frame_and_numbers_go_on(client: Client) -> None:
    world = client.create_world("a pond", paused=True)
    with world.live() as live:
        world.step(4)
        before = seen(live, 4 * NUM_BLOCK_FRAMES - 3)
        world.rewind(2)
        (still,) = seen(live, 1)
        world.resume()
        after = seen(live, 10)
    assert still.block == 1
    assert [picture.number for picture in after] == list(range(before[-1].number + 1, before[-1].number + 11))
    assert after[0].block == 2


def test_commands_that_make_no_sense_are_refused_and_the_viewer_stays(client: Client) -> None:
    world = client.create_world("a pond")
    with raw_socket(client, world.id) as socket:
        for said in (
            "",
            "{",
            "[]",
            "3",
            '{"type": "fly"}',
            '{"type": "signal", "more": 1}',
            '{"type": "rewind"}',
            "\x00",
        ):
            socket.send(said)
        socket.send(b"\x00\x01")
        refused = 0
        while refused < 9:
            message = json.loads(socket.recv(timeout=5))
            refused += message["type"] == "refused"
        socket.send('{"type": "ping", "ref": 7}')
        while (message := json.loads(socket.recv(timeout=5)))["type"] != "pong":
            pass
        assert message["ref"] == 7
    with world.live(pictures=False) as live, pytest.raises(RefusedError, match="no action"):
        live.ask("signal", action="fly")
    with world.live(pictures=False) as live, pytest.raises(RefusedError, match="characters"):
        live.ask("signal", prompt="x" * 1001)


def test_a_message_that_is_too_large_ends_only_its_own_viewer(client: Client) -> None:
    world = client.create_world("a pond")
    with world.live() as other:
        with raw_socket(client, world.id) as socket:
            socket.send("x" * 100_000)
            wait_until(lambda: _is_closed(socket))
        seen(other, 20)


def _is_closed(socket: ClientConnection) -> bool:
    try:
        socket.recv(timeout=0.05)
    except TimeoutError:
        return False
    except ConnectionClosed:
        return True
    return False


def test_a_world_that_is_not_there_says_so_and_hangs_up(client: Client) -> None:
    with pytest.raises(RefusedError, match="no world"), client.live("0" * 20):
        pass


def test_more_viewers_than_the_limit_are_told_and_leaving_makes_room(tmp_path: Path) -> None:
    with quick_server(tmp_path, limits={"max_viewers": 2}) as client:
        world = client.create_world("a pond")
        with world.live(), world.live(), pytest.raises(RefusedError, match="2 viewers"), world.live():
            pass
        wait_until(lambda: world.view["viewers"] == 0)
        with world.live() as live:
            seen(live, 1)


def test_a_viewer_that_vanishes_is_forgotten(client: Client) -> None:
    world = client.create_world("a pond")
    with raw_socket(client, world.id) as socket:
        wait_until(lambda: world.view["viewers"] == 1)
        socket.socket.close()  # no goodbye
        wait_until(lambda: world.view["viewers"] == 0)


def test_a_slow_viewer_misses_frames_and_holds_nobody_up(tmp_path: Path) -> None:
    engine = quick_engine(decoder=NoiseDecoder(), height=NoiseDecoder.height, width=NoiseDecoder.width)
    with quick_server(tmp_path, engine=engine) as client:
        world = client.create_world("a pond")
        with raw_socket(client, world.id, max_queue=1) as slow:
            slow.send('{"type": "watch", "pictures": true}')
            with world.live() as quick:
                numbers = [picture.number for picture in seen(quick, 40)]
                while "inferix_pictures_dropped_total 0.0" in client.metrics():  # the slow one reads nothing meanwhile
                    numbers += [picture.number for picture in seen(quick, 40)]
                dropped_by = numbers[-1]
            late = [number for number in iter(lambda: number_of(slow.recv()), dropped_by + 40) if number is not None]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert late == sorted(set(late))
    assert len(late) < late[-1] - late[0] + 1


def test_a_viewer_that_takes_nothing_is_sent_away_and_nobody_else_notices(tmp_path: Path) -> None:
    engine = quick_engine(decoder=NoiseDecoder(), height=NoiseDecoder.height, width=NoiseDecoder.width)
    with quick_server(tmp_path, engine=engine, stalled_viewer_seconds=1.0) as client:
        world = client.create_world("a pond")
        with raw_socket(client, world.id, max_queue=1, close_timeout=0.1) as stalled:
            stalled.send('{"type": "watch", "pictures": true}')
            with world.live() as quick:
                numbers = [picture.number for picture in seen(quick, 1)]
                assert world.view["viewers"] == 2
                while world.view["viewers"] == 2:
                    numbers += [picture.number for picture in seen(quick, 20)]
                numbers += [picture.number for picture in seen(quick, 20)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_viewer_that_asks_and_never_listens_is_sent_away_before_it_fills_the_memory(tmp_path: Path) -> None:
    with quick_server(tmp_path, stalled_viewer_seconds=0.5) as client:
        world = client.create_world("a pond", paused=True)
        with raw_socket(client, world.id, max_queue=1, close_timeout=0.1) as asking:
            ping = '{"type": "ping", "ref": 1}'
            started = time.monotonic()
            while world.view["viewers"]:
                assert time.monotonic() - started < 30
                try:
                    for _ in range(2000):
                        asking.send(ping)
                except ConnectionClosed:
                    break
        wait_until(lambda: world.view["viewers"] == 0)


def test_who_watches_a_world_that_is_closed_is_told(client: Client) -> None:
    world = client.create_world("a pond")
    with world.live() as live:
        seen(live, 1)
        world.close()
        assert until(live, "gone")["how"] == "closed"
        assert live.next(timeout_seconds=5) is None
        assert live.is_over


def test_a_world_that_fell_asleep_wakes_up_for_a_viewer(tmp_path: Path) -> None:
    with quick_server(tmp_path, pause_after_seconds=0.1, sleep_after_seconds=0.2) as client:
        world = client.create_world("a pond")
        wait_until(lambda: world.view["state"] == "asleep")
        with world.live() as live:
            seen(live, 5)
            assert world.view["state"] == "playing"
