"""MAGI-1 as a user runs it: from the command line, over every store, with other packages' codecs and quantizers."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from inferix_core import Engine, Signal, World
from PIL import Image
from torch import Tensor

ENVIRONMENT = {**os.environ, "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
TINY = ("--model", "magi", "--preset", "tiny-random", "--set", "planner.num_steps=4", "--set", "dtype=float32")
STORES = ("{use='dense'}", "{use='paged'}", "{use='ring'}", "{use='offload',num_device_latents=30}")


def inferix(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferix_core.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@cache
def engine(*overrides: str) -> Engine:
    config = {"model": {"preset": "tiny-random", "height": 32, "width": 48}, "planner": {"num_steps": 8}}
    return Engine.load("magi", config=config, overrides=("num_threads=1", "device=cpu", "dtype=float32", *overrides))


def told_world(engine: Engine) -> World:
    world = engine.create_world("a red ball", seed=3)
    world.step(Signal(prompt="a blue box falls"))
    return world


def frames(world: World, num_blocks: int) -> Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


@pytest.mark.parametrize("store", STORES)
def test_every_store_gives_the_same_frames_and_its_saved_worlds_go_on_in_another(store: str, tmp_path: Path) -> None:
    world = told_world(engine(f"kv.store={store}"))
    world.save(tmp_path / "a.world")
    expected = frames(told_world(engine()), 5)
    assert torch.equal(frames(world, 5), expected)
    assert torch.equal(frames(engine().load_world(tmp_path / "a.world"), 5), expected)


@pytest.mark.parametrize("override", ["kv.codec={use='int8'}", "quantizer={use='int8'}"])
def test_codecs_and_quantizers_change_a_world_a_little(override: str) -> None:
    far = "kv.policy.num_visible_blocks=[8,7,6,5]"  # so far back that pages are seen which are encoded already
    exact, packed = (frames(told_world(one), 3).float() for one in (engine(far), engine(far, override)))
    assert not torch.equal(exact, packed)
    assert float((exact - packed).abs().mean()) < 4.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of text, its world and log, and a picture."""
    path = tmp_path_factory.mktemp("magi")
    Image.fromarray(np.full((40, 90, 3), (250, 40, 30), np.uint8)).save(path / "a.png")
    kept = ("--save", "a.world", "--log", "a.jsonl")
    at = ("--prompt-at", "1s", "a blue box")
    inferix("generate", "a red ball", *TINY, "--seconds", "2", *at, *kept, "-o", "text.npy", cwd=path)
    return path


def test_a_video_of_text_of_a_picture_and_of_a_video(folder: Path) -> None:
    inferix("generate", "a red ball", *TINY, "--seconds", "1", "--image", "a.png", "-o", "picture.npy", cwd=folder)
    inferix("generate", "a red ball", *TINY, "--seconds", "1", "-o", "first.mp4", cwd=folder)
    inferix("generate", "a red ball", *TINY, "--seconds", "1", "--video", "first.mp4", "-o", "video.npy", cwd=folder)
    made = [np.load(folder / f"{name}.npy") for name in ("text", "picture", "video")]
    assert [one.shape for one in made] == [(48, 64, 96, 3), (24, 64, 96, 3), (24, 64, 96, 3)]
    assert not np.array_equal(made[0][:24], made[1])
    assert not np.array_equal(made[1], made[2])


def test_a_saved_world_goes_on_and_its_log_can_be_replayed(folder: Path) -> None:
    inferix("generate", "--resume", "a.world", "--seconds", "1", "-o", "more.npy", cwd=folder)
    inferix(
        "generate",
        "a red ball",
        *TINY,
        "--seconds",
        "3",
        "--prompt-at",
        "1s",
        "a blue box",
        "-o",
        "whole.npy",
        cwd=folder,
    )
    assert np.array_equal(np.load(folder / "more.npy"), np.load(folder / "whole.npy")[48:])
    inferix("replay", "a.jsonl", "-o", "again.npy", cwd=folder)
    assert np.array_equal(np.load(folder / "again.npy"), np.load(folder / "text.npy"))


def test_the_bench_measures_what_a_block_costs(folder: Path) -> None:
    done = inferix("bench", "generate", *TINY, "--random-weights", "--blocks", "1", "--json", cwd=folder)
    measured = json.loads(done.stdout)
    assert measured["num_frames"] == 24
    assert measured["num_window_latents"] == 30
    assert measured["num_denoise_flops"] > 0
    assert measured["num_clean_flops"] == 0, "blocks are committed in passes that denoise others"
