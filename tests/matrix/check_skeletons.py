"""What `inferix plugins new` writes is a package: built, installed and found, its tests pass and it can be chosen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from place import Place, Wheels

KINDS = ("model", "policy", "streamer")


@pytest.fixture(scope="module")
def skeletons(place: Place, wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a skeleton of each kind, all installed."""
    folder = tmp_path_factory.mktemp("skeletons")
    place.holds("inferix-core")
    for kind in KINDS:
        place.run("inferix", "plugins", "new", f"inferix-my-{kind}", "--kind", kind, cwd=folder)
        wheels.add(folder / f"inferix-my-{kind}", into=folder)
    place.holds("inferix-core", *(f"inferix-my-{kind}" for kind in KINDS))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_skeleton_keeps_the_rules_of_plugins_and_its_tests_pass(place: Place, skeletons: Path, kind: str) -> None:
    project = skeletons / f"inferix-my-{kind}"
    place.run("inferix", "plugins", "check", project.name)
    done = place.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(project), cwd=project)
    assert " passed" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", [["check", "--select", "E,F,I,UP,B"], ["format", "--check"]], ids=lambda c: c[0])
def test_a_skeleton_reads_well(skeletons: Path, kind: str, command: list[str]) -> None:
    project = skeletons / f"inferix-my-{kind}"
    arguments = [sys.executable, "-m", "ruff", command[0], "--isolated", "--line-length", "120", *command[1:], "."]
    done = subprocess.run(arguments, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_skeletons_are_ready_and_make_a_world_together(place: Place, skeletons: Path, tmp_path: Path) -> None:
    rows = json.loads(place.run("inferix", "plugins", "list", "--json").stdout)
    assert {row["state"] for row in rows} == {"ready"}
    policy = ("--set", "kv.policy.use=my-policy")
    options = ("--model", "my-model", *policy, "--seconds", "1", "-o", "a.my-streamer")
    place.run("inferix", "generate", "a sea", *options, cwd=tmp_path)
    header, _, data = (tmp_path / "a.my-streamer").read_bytes().partition(b"\n")
    assert header == b"48 64 8"
    frames = np.frombuffer(data, dtype=np.uint8).reshape(-1, 48, 64, 3)
    assert len(frames) == 8
    assert frames.std() > 1
