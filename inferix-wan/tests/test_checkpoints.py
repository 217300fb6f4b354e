"""Checkpoints load from every container, and what does not fit is named before anything is read."""

import json
from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError
from inferix_wan.checkpoints.kinds import NETWORKS
from inferix_wan.initialisation import initialise
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.transformer import CausalWanTransformer
from inferix_wan.weights import check_weights, load_weights
from safetensors.torch import save_file
from torch import Tensor

CPU = torch.device("cpu")
CONFIG = TransformerConfig(
    dim=8, ffn_dim=8, num_heads=1, num_layers=2, freq_dim=4, text_dim=4, text_len=3, in_channels=2, out_channels=2
)


def empty() -> CausalWanTransformer:
    with torch.device("meta"):
        return CausalWanTransformer(CONFIG)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    model = CausalWanTransformer(CONFIG)
    initialise(model, seed=1)
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_loads(path: Path, weights: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
    model = empty()
    load_weights(model, path, device=CPU, dtype=dtype)
    loaded = model.state_dict()
    assert all(value.dtype == dtype and value.device == CPU for value in loaded.values())
    assert all(torch.equal(loaded[name], value.to(dtype)) for name, value in weights.items())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_bare_state_dict_loads_in_the_wanted_dtype(
    tmp_path: Path, weights: dict[str, Tensor], dtype: torch.dtype
) -> None:
    torch.save(weights, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", weights, dtype)


def test_the_averaged_weights_are_taken_out_of_a_training_checkpoint(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    wrapped = {
        f"model._fsdp_wrapped_module.{name.replace('blocks.1.', 'blocks.1._checkpoint_wrapped_module.')}": value
        for name, value in weights.items()
    }
    raw = {f"model.{name}": torch.zeros_like(value) for name, value in weights.items()}
    torch.save({"generator": raw, "generator_ema": wrapped, "critic": {}, "step": 7}, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", weights)


def test_files_of_the_old_torch_format_load(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save({"model": weights}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert_loads(tmp_path / "w.pth", weights)


def test_safetensors_shards_and_folders_load(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    names = sorted(weights)
    parts = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for shard, inside in parts.items():
        save_file({name: weights[name] for name in inside}, tmp_path / shard)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: shard for shard, inside in parts.items() for name in inside}}))
    assert_loads(index, weights)
    assert_loads(tmp_path, weights)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"b\.safetensors are not beside it"):
        check_weights(empty(), tmp_path)


def test_a_folder_with_one_file_loads_and_one_with_several_asks_which(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint, but nothing"):
        check_weights(empty(), tmp_path)
    save_file(weights, tmp_path / "one.safetensors")
    assert_loads(tmp_path, weights)
    save_file(weights, tmp_path / "two.safetensors")
    with pytest.raises(CheckpointError, match=r"one\.safetensors, two\.safetensors"):
        check_weights(empty(), tmp_path)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_called_truncated(
    tmp_path: Path, weights: dict[str, Tensor], name: str, share: float
) -> None:
    path = tmp_path / name
    if name.endswith(".pt"):
        torch.save(weights, path)
    else:
        save_file(weights, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CheckpointError, match="truncated or damaged: download or copy it again"):
        check_weights(empty(), path)


def test_tensors_of_another_shape_and_dtype_are_named_with_what_was_expected(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    weights["head.head.weight"] = torch.zeros(3, 8)
    weights["blocks.0.ffn.0.bias"] = torch.zeros(8, dtype=torch.int64)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError) as caught:
        check_weights(empty(), tmp_path / "w.safetensors")
    assert "1 of another shape: head.head.weight is [3, 8], expected [8, 8]" in str(caught.value)
    assert "1 of another dtype: blocks.0.ffn.0.bias is int64; accepted are float16, bfloat16" in str(caught.value)


def test_missing_and_unexpected_tensors_are_counted_and_the_first_named(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    renamed = {name.replace("self_attn", "attention"): value for name, value in weights.items()}
    torch.save(renamed, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        check_weights(empty(), tmp_path / "w.pt")
    assert "20 missing: blocks.0.self_attn.q.weight" in str(caught.value)
    assert "and 15 more" in str(caught.value)
    assert "20 unexpected: blocks.0.attention.q.weight" in str(caught.value)


def test_a_module_that_does_not_fit_keeps_its_weights(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    model = CausalWanTransformer(CONFIG)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights.pop("head.modulation")
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"1 missing: head\.modulation"):
        load_weights(model, tmp_path / "w.safetensors", device=CPU, dtype=torch.float32)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def holes(path: Path, network: str) -> Path:
    """A full-size safetensors file with nothing on the disk but its header."""
    entries: dict[str, object] = {}
    end = 0
    for name, shape in NETWORKS[network]().items():
        begin, end = end, end + 2 * torch.Size(shape).numel()
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)
    return path


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("t2v-14B", "It is the t2v-14B transformer (dim 5120, layers 40, channels in 16), but what is needed is"),
        ("t2v-14B", 'Use it with wan-t2v, model.size = "14B", or give the files of'),
        ("i2v-14B", "give the files of Wan-AI/Wan2.1-T2V-1.3B or gdhe17/Self-Forcing or tianweiy/CausVid"),
        ("wan2.1-vae", "It is the wan2.1 vae (base dim 96)"),
        ("umt5-xxl", "Give the transformer: diffusion_pytorch_model"),
    ],
)
def test_another_networks_checkpoint_is_called_what_it_is(tmp_path: Path, given: str, words: str) -> None:
    with torch.device("meta"):
        model = CausalWanTransformer(TransformerConfig())
    with pytest.raises(CheckpointError) as caught:
        check_weights(model, holes(tmp_path / "w.safetensors", given))
    assert words in str(caught.value)
    assert "missing" not in str(caught.value)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        check_weights(empty(), tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["absent.pt", "notes.txt"])
def test_a_file_that_is_absent_or_of_no_known_kind_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"does not exist|no known kind"):
        check_weights(empty(), tmp_path / name)
