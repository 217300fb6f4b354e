"""Saved worlds and logs of the embedded world, as a user handles them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

PROMPT = "a red ball bounces at sunset"
ENVIRONMENT = {**os.environ, "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
GENERATE = ("generate", PROMPT, "--seed", "5")


def inferix(*arguments: str | Path, cwd: Path, code: int = 0) -> str:
    """What a command prints that must end with `code`."""
    command = [sys.executable, "-m", "inferix_core.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=120)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a second of video (two blocks, the second one cut), the world as it was then, and its log."""
    folder = tmp_path_factory.mktemp("made")
    signals = ("--prompt-at", "0.5s", "a red ball bounces at night", "--action-at", "0s", "left")
    inferix(*GENERATE, *signals, "--seconds", "1", "-o", "a.npy", "--save", "a.world", "--log", "a.log", cwd=folder)
    return folder


def test_a_log_is_verified_in_another_process_from_another_store(made: Path, tmp_path: Path) -> None:
    arguments = ("--verify", "--set", "kv.store.use=paged", "-o", tmp_path / "b.npy")
    said = inferix("replay", "a.log", *arguments, cwd=made)
    assert "Verified, bit for bit: 2 blocks" in said
    assert "Not as it was" not in said
    assert np.array_equal(np.load(tmp_path / "b.npy")[:16], np.load(made / "a.npy"))


def test_a_resumed_world_goes_on_as_if_it_had_never_stopped(made: Path, tmp_path: Path) -> None:
    (tmp_path / "a.world").write_bytes((made / "a.world").read_bytes())
    inferix("generate", "--resume", "a.world", "--save", "a.world", "--seconds", "1", "-o", "b.npy", cwd=tmp_path)
    inferix("world", "replay", "a.world", "--verify", "-o", "whole.npy", cwd=tmp_path)
    parts = [np.load(made / "a.npy"), np.load(tmp_path / "b.npy")]
    assert [len(part) for part in parts] == [16, 16]
    assert np.array_equal(np.concatenate(parts), np.load(tmp_path / "whole.npy")[:32])


def test_a_world_that_went_on_with_another_codec_is_verified_until_then(tmp_path: Path) -> None:
    codec = "kv.codec.use=int8"
    inferix(*GENERATE, "--seconds", "1", "-o", "a.npy", "--save", "a.world", "--set", codec, cwd=tmp_path)
    resume = ("generate", "--resume", "a.world", "--set", "kv.codec.use=none", "--seconds", "1", "-o", "b.npy")
    inferix(*resume, "--log", "b.log", cwd=tmp_path)
    said = inferix("replay", "b.log", "--verify", cwd=tmp_path)
    assert "Verified, bit for bit: 2 blocks" in said
    assert "From block 2 on, the world went on under other settings: 1 block was not compared." in said
    assert "kv.codec.use: int8 → none" in said


def test_a_saved_world_is_described(made: Path) -> None:
    described = json.loads(inferix("world", "show", "a.world", "--json", cwd=made))
    assert (described["model"], described["num_blocks"]) == ("inferix-tinyworld:tinyworld", 2)
    assert described["prompt"] == "a red ball bounces at night"


def hear_interrupts() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_on_ctrl_c_the_world_is_saved_as_far_as_it_is(tmp_path: Path) -> None:
    arguments = [*GENERATE, "--seconds", "600", "-o", "long.mp4", "--save", "a.world", "--log", "a.log"]
    process = subprocess.Popen(
        [sys.executable, "-m", "inferix_core.cli", *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    path = tmp_path / "long.mp4"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_size < 4000):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "a.world" in out
    num_blocks = sum('"digest"' in line for line in (tmp_path / "a.log").read_text(encoding="utf-8").splitlines())
    assert num_blocks >= 1
    assert json.loads(inferix("world", "show", "a.world", "--json", cwd=tmp_path))["num_blocks"] == num_blocks
