"""What people get wrong, from the command line: one clear message, exit code 2, and nothing large was allocated."""

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from inferix_core.checkpoints import Shape
from inferix_core.cli.application import run
from inferix_wan.checkpoints.kinds import NETWORKS

MEBIBYTE = 2**20
TINY = ["--model", "self-forcing", "--preset", "tiny-random"]
TRAINED = ["--model", "self-forcing", "kv.policy.use=full"]


def write_holes(path: Path, shapes: Mapping[str, Shape]) -> None:
    """A safetensors file of those tensors, full size and with nothing on the disk but its header."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * torch.Size(shape).numel()
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of the true sizes, as far as a header tells."""
    folder = tmp_path_factory.mktemp("weights")
    write_holes(folder / "small.safetensors", NETWORKS["t2v-1.3B"]())
    write_holes(folder / "large.safetensors", NETWORKS["t2v-14B"]())
    write_holes(folder / "vae.safetensors", NETWORKS["wan2.1-vae"]())
    write_holes(folder / "text.safetensors", NETWORKS["umt5-xxl"]())
    return folder


def peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*TRAINED], "decoder: no checkpoint is given"),
        ([*TRAINED, "model.checkpoint=absent.pt", "decoder.checkpoint=vae.safetensors"], "'absent.pt' does not exist"),
        ([*TRAINED, "model.checkpoint=small.safetensors"], "decoder: no checkpoint is given"),
        (
            [*TRAINED, "model.checkpoint=small.safetensors", "decoder.checkpoint=absent.pth"],
            "'absent.pth' does not exist",
        ),
        (
            [*TRAINED, "model.checkpoint=small.safetensors", "decoder.checkpoint=text.safetensors"],
            "It is the umt5-xxl text encoder",
        ),
        (
            [*TRAINED, "model.checkpoint=small.safetensors", "decoder.checkpoint=vae.safetensors"],
            "needs the UMT5 text encoder, of which no file is given. Set model.text.checkpoint",
        ),
        (
            [*TRAINED, "model.checkpoint=large.safetensors", "decoder.checkpoint=vae.safetensors"],
            "It is the t2v-14B transformer (dim 5120, layers 40, channels in 16), but what is needed is the t2v-1.3B",
        ),
        ([*TINY, "dtype=float16", "device=cpu"], "dtype = 'float16' is slower than float32 on a CPU"),
        ([*TINY, "model.height=50"], "A frame height of 50 pixels was asked for, but this model makes multiples of 16"),
        ([*TINY, "model.width=-16"], "model.width: must be at least 1, found -16"),
        ([*TINY, "model.size=huge"], "model.size: must be '1.3B', 'mid' or 'tiny-random', found 'huge'"),
        ([*TINY, "kv.policy.use=sink-widow"], "No KV policy is called 'sink-widow'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_allocated(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    line = ["generate", "a ball", "--seconds", "1", "-o", str(tmp_path / "o.npy")]
    for argument in arguments:
        key, _, value = argument.partition("=")
        if not value:
            line.append(argument)
        else:
            line += ["--set", f"{key}={files / value}" if (files / value).exists() else argument]
    before = peak_bytes()
    code = run(line)
    said = capsys.readouterr().err
    assert code == 2, said
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "o.npy").exists()
    assert peak_bytes() - before < 300 * MEBIBYTE
