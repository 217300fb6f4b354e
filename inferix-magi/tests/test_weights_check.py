"""`inferix weights check` tells MAGI-1's files by names and shapes, and says what is missing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.checkpoints import Shape
from inferix_core.cli.application import run
from inferix_magi.checkpoints.kinds import NETWORKS


def write_holes(path: Path, shapes: Mapping[str, Shape]) -> None:
    """A safetensors file of those tensors, full size and with nothing on the disk but its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries, end = {}, 0
    for name, shape in shapes.items():
        is_packed = f"{name}_scale" in shapes
        begin, end = end, end + (1 if is_packed else 2) * torch.Size(shape).numel()
        dtype = "F8_E4M3" if is_packed else "BF16"
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)


def write_download(folder: Path, release: str, network: str) -> Path:
    """What `inferix weights fetch` leaves: every part where the authors' repository has it."""
    inside = "inference_weight" + ".fp8" * ("quant" in release) + ".distill" * ("distill" in release)
    write_holes(folder / "ckpt" / "magi" / release / inside / "model.safetensors", NETWORKS[network]())
    write_holes(folder / "ckpt" / "vae" / "diffusion_pytorch_model.safetensors", NETWORKS["magi-1-vae"]())
    t5 = folder / "ckpt" / "t5" / "t5-v1_1-xxl"
    write_holes(t5 / "model.safetensors", NETWORKS["t5-v1_1-xxl"]())
    (t5 / "spiece.model").write_bytes(b"")
    return folder


def checked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """The exit code and the JSON."""
    code = run(["weights", "check", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("release", "network", "names"),
    [
        ("4.5B_base", "4.5B", {"magi-4.5B", "magi-4.5B-distill"}),
        ("4.5B_distill_quant", "4.5B-fp8", {"magi-4.5B-distill-fp8"}),
        ("24B_distill", "24B", {"magi-24B", "magi-24B-distill"}),
        ("24B_distill_quant", "24B-fp8", {"magi-24B-distill-fp8"}),
    ],
)
def test_a_whole_download_is_complete_for_its_releases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], release: str, network: str, names: set[str]
) -> None:
    code, report = checked(capsys, write_download(tmp_path, release, network))
    assert code == 0
    assert {name for name, verdict in report["models"].items() if verdict["complete"]} == names
    assert {each["part"] for each in report["found"]} == {"transformer", "vae", "text_encoder", "tokenizer"}
    assert not any(each["problems"] for each in report["found"])


def test_what_is_missing_comes_with_its_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_holes(tmp_path / "inference_weight" / "model.safetensors", NETWORKS["4.5B"]())
    code, report = checked(capsys, tmp_path, "--model", "magi-4.5B")
    assert code == 1
    missing = {each["part"]: each["files"] for each in report["models"]["magi-4.5B"]["missing"]}
    assert missing == {"vae": "ckpt/vae/*", "text_encoder": "ckpt/t5/*", "tokenizer": "ckpt/t5/*"}


def test_packed_weights_do_not_fit_a_release_that_is_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_download(tmp_path, "4.5B_distill_quant", "4.5B-fp8")
    code, report = checked(capsys, tmp_path, "--model", "magi-4.5B-distill")
    assert code == 1
    assert [each["part"] for each in report["models"]["magi-4.5B-distill"]["missing"]] == ["transformer"]


def test_one_lacking_scale_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = NETWORKS["4.5B-fp8"]()
    name = next(name for name in shapes if name.endswith("weight_scale"))
    del shapes[name]
    write_holes(tmp_path / "model.safetensors", shapes)
    code, report = checked(capsys, tmp_path)
    assert code == 1
    assert name in report["found"][0]["problems"][0]
