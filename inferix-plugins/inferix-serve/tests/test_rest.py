import io
import time
from pathlib import Path

import numpy as np
import pytest
from inferix_core.errors import OutputError
from inferix_serve import Client
from inferix_serve.problems import RefusedError
from PIL import Image
from serve_toys import quick_server, wait_until


def test_the_server_says_what_it_runs(client: Client) -> None:
    described = client.server
    assert described["actions"] == ["none", "left", "right"]
    assert (described["height"], described["width"], described["fps"]) == (8, 16, 80.0)
    assert described["limits"]["max_worlds"] == 8


def test_a_world_is_made_steered_forked_saved_and_closed_by_requests(client: Client) -> None:
    world = client.create_world("a pond", seed=4, paused=True)
    assert world.view["state"] == "paused"
    assert world.step(2)["block"] == 0
    assert world.signal(action="left", signal_id="mine") == {"world": world.id, "block": 2, "signal": "mine"}
    world.step()
    branch = world.fork()
    assert (branch.view["parent"], branch.view["num_blocks"]) == (world.id, 3)
    assert world.rewind(2)["block"] == 2
    loaded = client.load_world(world.save())
    assert loaded.view["num_blocks"] == 2
    assert [one["prompt"] for one in client.saved] == ["a pond"]
    assert {one.id for one in client.worlds} == {world.id, branch.id, loaded.id}
    world.close()
    with pytest.raises(RefusedError) as refused:
        world.view  # noqa: B018
    assert refused.value.status == 404


def test_a_world_can_be_looked_at_block_by_block(client: Client) -> None:
    world = client.create_world("a pond", paused=True)
    world.step(2)
    answer = client._http.get(f"/v1/worlds/{world.id}/blocks/1/picture")
    assert Image.open(io.BytesIO(answer.content)).size == (16, 8)
    assert client._http.get(f"/v1/worlds/{world.id}/blocks/7/picture").status_code == 404
    saved = world.save()
    assert client._http.get(f"/v1/saved/{saved}/picture").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": ""}, 422),
        ({"prompt": "x" * 1001}, 413),
        ({"prompt": "a\ud800b"}, 422),
        ({"prompt": "a\x00b"}, 422),
        ({"prompt": 3}, 422),
        ({"seed": -1}, 422),
        ({"seed": 2**70}, 422),
        ({"seed": float("nan")}, 422),
        ({"unknown": 1}, 422),
        ({"saved": "0" * 20}, 404),
        ({"saved": "../../etc/passwd"}, 422),
        ({"saved": "0" * 20, "prompt": "a pond"}, 422),
        ({"picture": "0" * 20}, 404),
        ([], 422),
    ],
)
def test_a_world_that_cannot_be_made_is_refused_with_a_reason(client: Client, body: object, status: int) -> None:
    import json

    answer = client._http.post("/v1/worlds", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_what_the_model_does_not_understand_is_refused_in_its_own_words(client: Client) -> None:
    world = client.create_world("a pond")
    with pytest.raises(RefusedError, match="no action 'fly'") as refused:
        world.signal(action="fly")
    assert (refused.value.status, refused.value.code) == (422, "signal")
    with pytest.raises(RefusedError, match="nothing to tell"):
        world.signal()


def test_fifty_worlds_too_many_are_refused_and_the_others_live_on(tmp_path: Path) -> None:
    with quick_server(tmp_path, limits={"max_worlds": 2}) as client:
        worlds = [client.create_world("a pond", paused=True) for _ in range(2)]
        refusals = []
        for _ in range(50):
            with pytest.raises(RefusedError) as refused:
                client.create_world("a pond")
            refusals.append((refused.value.status, refused.value.code, refused.value.details["limit"]))
        assert set(refusals) == {(429, "too_many_worlds", 2)}
        assert [world.step()["block"] for world in worlds] == [0, 0]


def test_a_video_is_made_in_the_background_with_progress_and_can_be_downloaded(tmp_path: Path) -> None:
    import av

    with quick_server(tmp_path) as client:
        video = client.order_video(
            "a pond",
            seconds=1.0,
            seed=4,
            signals=[{"seconds": 0.5, "prompt": "a lake"}, {"seconds": 0.2, "action": "left"}],
        )
        assert video["state"] in ("waiting", "making")
        name = str(video["id"])
        wait_until(lambda: client.video(name)["state"] == "done")
        assert client.video(name)["progress"] == 1.0
        client.download_video(name, tmp_path / "pond.mp4")
        with av.open(tmp_path / "pond.mp4") as file:
            assert sum(1 for _ in file.decode(video=0)) == 80
    with quick_server(tmp_path) as client:  # and is still there after a restart
        assert [one["id"] for one in client._asked("GET", "/v1/videos")] == [name]
        client._asked("DELETE", f"/v1/videos/{name}")
        assert list((tmp_path / "videos").iterdir()) == []


def test_a_video_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with quick_server(tmp_path, limits={"max_video_seconds": 10.0, "max_waiting_videos": 1}) as client:
        for options, status in (
            ({"seconds": 11.0}, 413),
            ({"signals": [{"seconds": 0.1, "action": "fly"}]}, 422),
            ({"seconds": 0.0001}, 422),
        ):
            with pytest.raises(RefusedError) as refused:
                client.order_video("a pond", **options)
            assert refused.value.status == status
        first = client.order_video("a pond", seconds=10.0)
        with pytest.raises(RefusedError) as refused:
            client.order_video("a pond", seconds=10.0)
        assert refused.value.code == "too_many_videos"
        assert client._http.get(f"/v1/videos/{first['id']}/file").status_code == 409
        client._asked("DELETE", f"/v1/videos/{first['id']}")  # also while it is being made
        assert list((tmp_path / "videos").iterdir()) == []


def test_live_worlds_come_before_videos_and_videos_are_made_all_the_same(tmp_path: Path) -> None:
    with quick_server(tmp_path) as client:
        world = client.create_world("a pond")
        with world.live(pictures=False):
            name = str(client.order_video("a pond", seconds=2.0)["id"])
            wait_until(lambda: client.video(name)["state"] == "done")
            assert world.view["num_blocks"] > 1


def test_pictures_are_taken_in_a_guarded_way(tmp_path: Path) -> None:
    def encoded(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
        content = io.BytesIO()
        Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(content, kind)
        return content.getvalue()

    with quick_server(tmp_path, limits={"max_picture_pixels": 2000}) as client:
        for kind in ("PNG", "JPEG", "WEBP"):
            (tmp_path / f"one.{kind.lower()}").write_bytes(encoded(kind))
            assert len(client.upload_picture(tmp_path / f"one.{kind.lower()}")) == 20
        whole = encoded("PNG")
        for content, status in (
            (encoded("GIF"), 415),
            (b"", 415),
            (b"<svg/>", 415),
            (whole[:60], 422),
            (encoded("PNG", (100, 100)), 413),
        ):
            assert client._http.post("/v1/pictures", content=content).status_code == status


def test_metrics_count_blocks_and_measure_inputs(client: Client) -> None:
    world = client.create_world("a pond")
    with world.live(pictures=False):
        world.signal(action="left")
        wait_until(lambda: "inferix_input_to_photon_seconds_count 1.0" in client.metrics())
    text = client.metrics()
    assert "inferix_worlds_living 1.0" in text
    for name in ("blocks_total", "block_seconds_bucket", "missed_deadlines_total", "kv_bytes", "viewers"):
        assert f"inferix_{name}" in text


def test_a_server_that_is_not_there_is_named() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(OutputError, match="Is `inferix serve` running"):
        client.server  # noqa: B018


def test_a_paused_picture_stands_still_at_once(client: Client) -> None:
    world = client.create_world("a pond")
    with world.live() as live:
        next(live.pictures())
        world.pause()
        while (found := live.next(timeout_seconds=0.3)) is not None:
            last = found
        time.sleep(0.2)
        assert live.next(timeout_seconds=0.2) is None
        assert last is not None
