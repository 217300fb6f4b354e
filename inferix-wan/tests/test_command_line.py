from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from inferix_core.cli.application import run
from inferix_wan.sizes import TRANSFORMERS
from inferix_wan.transformer.transformer import CausalWanTransformer
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]
TINY = ["--model", "self-forcing", "--set", "model.size=tiny-random", "--set", "decoder.weights=random"]


@pytest.fixture
def weights() -> Weights:
    return {
        name: value.detach().clone()
        for name, value in CausalWanTransformer(TRANSFORMERS["tiny-random"]).state_dict().items()
    }


def generate_from(checkpoint: Path) -> int:
    """The exit code of a run with this checkpoint into `video.npy` beside it."""
    output = str(checkpoint.with_name("video.npy"))
    options = [*TINY, "--set", f"model.checkpoint={checkpoint}", "--seconds", "0.1", "-o", output]
    return run(["generate", "a ball", *options])


def of_another_shape(weights: Weights) -> None:
    weights["head.head.weight"] = torch.zeros(3, 8)


def of_another_dtype(weights: Weights) -> None:
    weights["blocks.0.ffn.0.bias"] = weights["blocks.0.ffn.0.bias"].to(torch.int64)


def incomplete(weights: Weights) -> None:
    del weights["patch_embedding.weight"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (of_another_shape, "1 of another shape: head.head.weight is [3, 8], expected"),
        (of_another_dtype, "1 of another dtype: blocks.0.ffn.0.bias is int64; accepted are"),
        (incomplete, "1 missing: patch_embedding.weight"),
    ],
)
def test_a_checkpoint_that_does_not_fit_ends_the_command_and_names_the_tensors(
    spoil: Callable[[Weights], None],
    words: str,
    weights: Weights,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(weights)
    save_file(weights, tmp_path / "weights.safetensors")
    assert generate_from(tmp_path / "weights.safetensors") == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "video.npy").exists()


def test_a_truncated_checkpoint_ends_the_command_and_says_so(
    weights: Weights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    path.write_bytes(path.read_bytes()[:5000])
    assert generate_from(path) == 2
    assert "weights.safetensors' (5000 bytes) is truncated or damaged" in capsys.readouterr().err


def test_a_run_shorter_than_a_frame_says_what_is_long_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", "self-forcing", "--preset", "tiny-random", "--seconds", "0.01"]
    assert run(["generate", "a ball", *options, "-o", str(tmp_path / "video.npy")]) == 2
    assert "0.01 s at 16 frames/s are 0 frames. Ask for at least 1 frame, 0.0625 s." in capsys.readouterr().err


def test_a_random_tiny_model_makes_a_video(tmp_path: Path) -> None:
    import numpy as np

    output = tmp_path / "video.npy"
    options = ["--model", "self-forcing", "--preset", "tiny-random", "--seconds", "1"]
    assert run(["generate", "a ball", *options, "-o", str(output)]) == 0
    assert np.load(output).shape == (16, 64, 96, 3)
