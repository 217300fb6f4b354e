"""`inferix bench generate` as a user runs it: a Wan without files."""

import json
import os
import subprocess
import sys
from pathlib import Path

from inferix_wan.sizes import TRANSFORMERS

ENVIRONMENT = {**os.environ, "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
TINY = ("--model", "self-forcing", "--preset", "tiny-random", "--set", "dtype=float32")


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferix_core.cli", "bench", "generate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=120)


def test_random_weights_take_the_place_of_files_in_a_preset_that_needs_them(tmp_path: Path) -> None:
    shrunk = ("--set", "model.size=tiny-random", "--set", "model.height=64", "--set", "model.width=96")
    decoder = ("--set", "decoder.base_dim=4", "--set", "decoder.num_res_blocks=1")
    arguments = ("--model", "self-forcing", "--preset", "1.3B", *shrunk, *decoder, "--blocks", "1")
    refused = bench(*arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert "no checkpoint is given" in " ".join(refused.stderr.split())
    done = bench(*arguments, "--random-weights", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("self-forcing (1.3B)", "denoise", "clean pass", "decode", "frames/s", "TFLOP/s", "21 latents"):
        assert words in done.stdout


def test_denoising_is_four_passes_and_the_file_holds_what_is_printed(tmp_path: Path) -> None:
    window = ("--set", "kv.policy.use=sink-window", "--set", "kv.policy.num_sink_latents=0")
    nine = (*window, "--set", "kv.policy.num_window_latents=9")
    done = bench(*TINY, *nine, "--random-weights", "--blocks", "2", "--json", "--json-path", "a.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured == json.loads((tmp_path / "a.json").read_text())
    assert measured["num_frames"] == 12
    assert measured["num_window_latents"] == 9
    shape = TRANSFORMERS["tiny-random"]
    tokens = 3 * (64 // 16) * (96 // 16)
    attention = 4 * tokens * (3 * tokens + shape.text_len) * shape.dim
    products = 2 * tokens * shape.dim * (6 * shape.dim + 2 * shape.ffn_dim)  # qkv, out, text q, text out; feed-forward
    passes = 4 * shape.num_layers * (attention + products)
    assert passes < measured["num_denoise_flops"] < 1.2 * passes  # patches, times and the head besides
    assert measured["num_denoise_flops"] / 4 > measured["num_clean_flops"] > 0.8 * measured["num_denoise_flops"] / 4


def test_a_model_that_has_no_random_weights_is_told(tmp_path: Path) -> None:
    done = bench("--model", "tinyworld", "--random-weights", cwd=tmp_path)
    assert done.returncode == 2
    assert "weights" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_is_measured_against_the_run_without_it(tmp_path: Path) -> None:
    settings = ("--against", "model.fused_qkv=true", "--against", "model.weights_seed=1")
    done = bench(*TINY, *settings, "--blocks", "1", "--json-path", "a.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    fused, other = json.loads((tmp_path / "a.json").read_text())["alternatives"]
    assert (fused["setting"], fused["has_same_frames"]) == ("model.fused_qkv=true", True)
    assert (other["setting"], other["has_same_frames"]) == ("model.weights_seed=1", False)
    assert "with model.fused_qkv=true: " in done.stdout
    mistaken = bench(*TINY, "--against", "model.fused=true", cwd=tmp_path)
    assert mistaken.returncode == 2
    assert "fused_qkv" in mistaken.stderr
