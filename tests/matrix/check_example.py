"""A stranger's package is installed beside our wheels, found, chosen by configuration and run to a video."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
from place import EXAMPLE, Place

BESIDE = ("inferix-core", "inferix-wan", "inferix-stream", "inferix-example")
CONFIG = str(EXAMPLE / "pond.toml")


def test_the_example_is_found_and_ready(place: Place) -> None:
    place.holds(*BESIDE)
    assert place.unmet_requirements() == ""
    rows = {row["name"]: row for row in json.loads(place.run("inferix", "plugins", "list", "--json").stdout)}
    assert rows["example"]["state"] == "ready"
    assert {"model pond", "kv-policy landmarks"} <= set(rows["example"]["provides"])


def test_the_example_chosen_by_configuration_makes_a_video(place: Place, tmp_path: Path) -> None:
    place.holds(*BESIDE)
    options = ("--config", CONFIG, "--action-at", "1s drop", "--seconds", "2", "-o", "pond.mp4")
    place.run("inferix", "generate", "a spring in the west", *options, cwd=tmp_path)
    with av.open(str(tmp_path / "pond.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 32
    assert frames[0].shape == (96, 128, 3)
    assert np.abs(frames[-1].astype(int) - frames[0]).max() > 50


def test_the_landmarks_of_the_example_serve_another_model(place: Place, tmp_path: Path) -> None:
    place.holds(*BESIDE)
    tiny = ("--model", "self-forcing", "--preset", "tiny-random", "--seconds", "1.5")
    for name, options in (("full", ()), ("landmarks", ("--set", "kv.policy={use='landmarks',num_recent_latents=3}"))):
        place.run("inferix", "generate", "a ball", *tiny, *options, "-o", f"{name}.npy", cwd=tmp_path)
    full, landmarks = np.load(tmp_path / "full.npy"), np.load(tmp_path / "landmarks.npy")
    assert (full[:9] == landmarks[:9]).all()
    assert (full != landmarks).any()


def test_the_tests_of_the_example_pass_where_it_is_installed(place: Place) -> None:
    place.holds(*BESIDE)
    place.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests"), cwd=EXAMPLE)
