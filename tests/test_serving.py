"""The server over real models: what they can and cannot do shows in its answers."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inferix_core import Catalog
from inferix_serve import Client
from inferix_serve.problems import RefusedError
from inferix_serve.recording import served
from inferix_serve.running import build_hall
from inferix_serve.settings import settings_from
from PIL import Image


@contextmanager
def serving(folder: Path, raw: Mapping[str, Any]) -> Iterator[Client]:
    hall = build_hall(raw, (), settings_from({"folder": folder, "port": 0}), Catalog.discover())
    with served(hall) as address, Client(address) as client:
        yield client


def uploaded(client: Client, folder: Path) -> str:
    content = io.BytesIO()
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 50:] = (250, 40, 30)
    Image.fromarray(pixels).save(content, "PNG")
    (folder / "a.png").write_bytes(content.getvalue())
    return client.upload_picture(folder / "a.png")


def test_the_embedded_world_is_served_steered_saved_and_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path, {"world": {"num_rewind_blocks": 2}}) as client:
        described = client.server
        assert (described["model"], described["policy"]["use"]) == ("tinyworld", "window")
        assert described["actions"] == ["none", "left", "right", "jump"]
        with pytest.raises(RefusedError, match="no word that tinyworld knows"):
            client.create_world("qwertz")
        world = client.create_world("a red ball rests by day", seed=1, paused=True)
        world.step()
        assert world.signal(action="left")["block"] == 1
        world.step()
        assert world.view["kv_bytes"] > 0
        loaded = client.load_world(world.save())
        assert loaded.step()["block"] == 2
        with world.live() as live:
            world.step()
            first = next(live.pictures()).frame
        assert first.shape == (128, 128, 3)
    with serving(tmp_path, {}) as client:
        assert {one.view["state"] for one in client.worlds} == {"asleep"}
        assert client.world(world.id).step()["block"] == 3


@pytest.mark.parametrize("model", [{}, {"use": "self-forcing", "preset": "tiny-random"}])
def test_a_world_begins_with_an_uploaded_picture_where_the_model_can(tmp_path: Path, model: dict[str, str]) -> None:
    with serving(tmp_path, {"model": model}) as client:
        picture = uploaded(client, tmp_path)
        made = []
        for options in ({}, {"picture": picture}, {"picture": picture, "fit": "pad"}):
            world = client.create_world("a red ball", seed=1, paused=True, **options)
            num_blocks = world.step()["block"] + 1
            made.append(client._http.get(f"/v1/worlds/{world.id}/blocks/{num_blocks - 1}/picture").content)
        assert len(set(made)) == 3
