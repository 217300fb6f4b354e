"""The embedded world measured by the profiler and packed by the quantizers, as a user runs it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from inferix_core import Engine
from inferix_core.specs import Kind

COMMAND = [sys.executable, "-m", "inferix_core.cli"]
PROMPT = "a red ball bounces at sunset"
CONFIG = '[[profilers]]\nuse = "trace"\njson_path = "p.json"\nchrome_path = "c.json"\n'


def video(*overrides: str) -> torch.Tensor:
    engine = Engine.load("tinyworld", overrides=overrides)
    with engine.create_world(PROMPT, seed=5) as world:
        return torch.cat([world.step().frames for _ in range(2)]).float()


@pytest.fixture(scope="module")
def plain() -> torch.Tensor:
    return video()


@pytest.mark.parametrize("quantizer", ["int8", "fp8"])
def test_the_embedded_world_runs_quantised_and_looks_nearly_the_same(plain: torch.Tensor, quantizer: str) -> None:
    packed = video(f"quantizer.use={quantizer}")
    assert packed.shape == plain.shape
    difference = float((packed - plain).abs().mean())
    assert 0.0 < difference < 10.0, difference


def test_a_model_with_random_weights_is_packed_too() -> None:
    engine = Engine.load("self-forcing", config={"model": {"preset": "tiny-random"}, "quantizer": {"use": "int8"}})
    state = engine.parts.model.transformer.state_dict()  # type: ignore[attr-defined]
    assert {name.split(".")[0] for name, value in state.items() if value.dtype == torch.int8} == {"blocks"}
    with engine.create_world("x") as world:
        assert len(world.step().frames) == 9


def test_generating_prints_the_table_and_writes_the_files(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(CONFIG)
    arguments = ["generate", PROMPT, "--seconds", "1", "--config", "run.toml", "-o", "a.npy"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "trace: 2 blocks, 21 frames" in done.stderr
    measured = json.loads((tmp_path / "p.json").read_text())
    assert measured["num_frames"] == 21  # as made; the run cuts the last block to 16 frames
    assert measured["run"]["num_frames"] == 16
    assert measured["spans"]["write"]["count"] == 2
    assert measured["spans"]["write"]["seconds"] == pytest.approx(measured["run"]["span_seconds"]["write"])
    events = json.loads((tmp_path / "c.json").read_text())["traceEvents"]
    assert {event["name"] for event in events} >= {"pass", "write"}


def test_what_was_measured_is_written_on_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(CONFIG)
    arguments = ["generate", PROMPT, "--seconds", "600", "--config", "run.toml", "-o", "a.mp4"]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    path = tmp_path / "a.mp4"
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_size < 4000):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "trace: " in err
    assert json.loads((tmp_path / "p.json").read_text())["num_blocks"] >= 1


def test_the_profilers_overhead_is_measured_in_pairs(tmp_path: Path) -> None:
    arguments = ["bench", "profiler", "--model", "self-forcing", "--preset", "tiny-random", "--pairs", "3", "--json"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True)
    measured = json.loads(done.stdout)
    assert measured["profilers"] == ["trace"]
    assert measured["plain_milliseconds"] > 0.0
    assert measured["overhead"] < 0.5  # far above what it is, far below what a wait for each pass would be


def test_a_quantizer_that_is_not_installed_is_named_with_its_package() -> None:
    from inferix_core.known import distribution_of

    assert distribution_of(Kind.QUANTIZER, "int8") == "inferix-quant"
    assert distribution_of(Kind.PROFILER, "trace") == "inferix-profile"
