"""`inferix weights check` tells what files are by names and shapes, what is missing, and where that comes from."""

import gzip
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.checkpoints import Shape
from inferix_core.cli.application import run
from inferix_wan.checkpoints.kinds import NETWORKS

CLIP_FILE = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"


def write_holes(path: Path, shapes: Mapping[str, Shape], *, dtype: str = "BF16") -> None:
    """A safetensors file of those tensors, full size and with nothing on the disk but its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * torch.Size(shape).numel()
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)


def write_folder(folder: Path, network: str, *, with_image: bool = False) -> Path:
    write_holes(folder / "diffusion_pytorch_model.safetensors", NETWORKS[network]())
    write_holes(folder / "Wan2.1_VAE.safetensors", NETWORKS["wan2.1-vae"]())
    write_holes(folder / "models_t5_umt5-xxl-enc-bf16.safetensors", NETWORKS["umt5-xxl"]())
    if with_image:
        write_holes(folder / CLIP_FILE.replace(".pth", ".safetensors"), NETWORKS["clip-vit-h-14"]())
    tokenizer = folder / "google" / "umt5-xxl"
    tokenizer.mkdir(parents=True)
    (tokenizer / "tokenizer.json").write_text("{}")
    return folder


def write_shards(folder: Path, shapes: Mapping[str, Shape]) -> None:
    """Two shards and their index."""
    shard_of = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(shapes)}
    for shard in set(shard_of.values()):
        write_holes(folder / shard, {name: shapes[name] for name in shapes if shard_of[name] == shard})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shard_of}))


def checked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """The exit code and the JSON."""
    code = run(["weights", "check", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("network", "release", "with_image"),
    [
        ("t2v-1.3B", "wan-t2v-1.3B", False),
        ("t2v-14B", "wan-t2v-14B", False),
        ("i2v-14B", "wan-i2v-14B-480P", True),
    ],
)
def test_a_whole_folder_is_complete_for_its_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], network: str, release: str, with_image: bool
) -> None:
    folder = write_folder(tmp_path / "wan", network, with_image=with_image)
    code, report = checked(capsys, folder, "--model", release)
    assert (code, report["complete"]) == (0, True)
    assert {each["part"]: each["network"] for each in report["found"]}["transformer"] == network
    assert checked(capsys, folder)[0] == 0
    (transformer,) = (each for each in report["found"] if each["part"] == "transformer")
    assert transformer["dtypes"] == ["bfloat16"]
    assert transformer["bytes"] == (folder / "diffusion_pytorch_model.safetensors").stat().st_size


def test_what_is_missing_comes_with_its_repository_files_and_licence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "wan", "i2v-14B")
    code, report = checked(capsys, folder, "--model", "wan-i2v-14B-480P")
    assert code == 1
    (missing,) = report["models"]["wan-i2v-14B-480P"]["missing"]
    assert missing["part"] == "image_encoder"
    assert (missing["repository"], missing["files"]) == ("Wan-AI/Wan2.1-I2V-14B-480P", CLIP_FILE)
    assert "Apache-2.0" in missing["licence"]
    run(["weights", "check", str(folder), "--model", "wan-i2v-14B-480P"])
    said = capsys.readouterr().out
    assert f"{CLIP_FILE} from https://huggingface.co/Wan-AI/Wan2.1-I2V-14B-480P" in said


def test_the_diffusers_layout_is_complete_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = json.loads(gzip.decompress((Path(__file__).parent / "diffusers_tensors.json.gz").read_bytes()))
    write_holes(tmp_path / "vae" / "diffusion_pytorch_model.safetensors", listing["AutoencoderKLWan"])
    write_shards(tmp_path / "transformer", listing["WanTransformer3DModel t2v-1.3B"])
    write_shards(tmp_path / "text_encoder", NETWORKS["umt5-xxl"]())
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    code, report = checked(capsys, tmp_path, "--model", "wan-t2v")
    assert code == 0
    assert {each["part"]: each["files"] for each in report["found"]} == {
        "transformer": 2,
        "vae": 1,
        "text_encoder": 2,
        "tokenizer": 1,
    }
    (tmp_path / "transformer" / "model-00002-of-00002.safetensors").unlink()
    code, report = checked(capsys, tmp_path, "--model", "wan-t2v-1.3B")
    assert code == 1
    (problem,) = (problem for each in report["found"] for problem in each["problems"])
    assert "model-00002-of-00002.safetensors are not beside it" in problem


def test_one_lacking_tensor_makes_a_folder_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "wan", "t2v-1.3B")
    shapes = NETWORKS["t2v-1.3B"]()
    del shapes["blocks.17.ffn.2.bias"]
    write_holes(folder / "diffusion_pytorch_model.safetensors", shapes)
    code, report = checked(capsys, folder, "--model", "wan-t2v-1.3B")
    assert code == 1
    (transformer,) = (each for each in report["found"] if each["part"] == "transformer")
    assert transformer["problems"] == ["1 missing: blocks.17.ffn.2.bias"]


def test_a_14b_folder_is_not_taken_for_the_small_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "wan", "t2v-14B")
    code, report = checked(capsys, folder, "--model", "wan-t2v-1.3B")
    assert code == 1
    assert [each["part"] for each in report["models"]["wan-t2v-1.3B"]["missing"]] == ["transformer"]
    assert checked(capsys, folder, "--model", "wan-t2v")[0] == 0


def test_a_trainers_file_fits_the_causal_models_and_a_bare_one_the_bidirectional(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = {f"model.{name}": torch.zeros(1).expand(shape) for name, shape in NETWORKS["t2v-1.3B"]().items()}
    torch.save({"generator": tensors, "generator_ema": tensors, "critic": {}}, tmp_path / "self_forcing_dmd.pt")
    code, report = checked(capsys, tmp_path / "self_forcing_dmd.pt", "--model", "self-forcing")
    assert code == 0
    (found,) = report["found"]
    assert (found["state_dict"], found["state_dicts"]) == ("generator_ema", ["generator", "generator_ema", "critic"])
    assert found["fits"] == ["self-forcing", "self-forcing-diffusion", "causvid"]
    assert checked(capsys, tmp_path / "self_forcing_dmd.pt", "--model", "wan-t2v")[0] == 1
    write_holes(tmp_path / "bare.safetensors", NETWORKS["t2v-1.3B"]())
    assert checked(capsys, tmp_path / "bare.safetensors", "--model", "wan-t2v-1.3B")[0] == 0
    assert run(["weights", "check", str(tmp_path / "bare.safetensors"), "--model", "causvid"]) == 1
    assert "its names do not tell" in capsys.readouterr().out


def test_damaged_foreign_and_dangerous_files_are_named_beside_the_good_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "wan", "t2v-1.3B")
    vae = folder / "Wan2.1_VAE.safetensors"
    with vae.open("r+b") as file:
        file.truncate(vae.stat().st_size - 1)
    torch.save({"model": Path("x")}, folder / "code.pt")
    torch.save({"lm_head.weight": torch.zeros(2, 2)}, folder / "other.pth")
    code, report = checked(capsys, folder, "--model", "wan-t2v-1.3B")
    found = {Path(each["path"]).name: each for each in report["found"]}
    assert code == 1
    assert "truncated or damaged" in found["Wan2.1_VAE.safetensors"]["problems"][0]
    assert "could run code" in found["code.pt"]["problems"][0]
    assert (found["other.pth"]["part"], found["other.pth"]["description"]) == (None, "no part of a known model")
    assert found["diffusion_pytorch_model.safetensors"]["fits"] == ["wan-t2v-1.3B"]


def test_an_empty_folder_is_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "check", str(tmp_path)]) == 1
    assert "no checkpoint and no tokenizer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], "'absent' does not exist"),
        ([".", "--model", "wan-t2v-13B"], "no weights for a model 'wan-t2v-13B'. Did you mean 'wan-t2v-1"),
    ],
)
def test_a_users_mistake_ends_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["weights", "check", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_help_and_a_check_of_safetensors_load_no_torch(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "wan", "t2v-1.3B")
    code = (
        "import sys; from inferix_core.cli.application import run; "
        f"codes = [run(['weights', 'check', '--help']), run(['weights', 'check', {str(folder)!r}])]; "
        "sys.exit(codes != [0, 0] or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
