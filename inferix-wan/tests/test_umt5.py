"""UMT5 takes either layout of its weights, and does not see what is masked."""

import gzip
import json
import sys
from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError, UnsupportedError
from inferix_wan.initialisation import initialise
from inferix_wan.text import Umt5Config
from inferix_wan.text.umt5 import Umt5Network, network_name
from inferix_wan.weights import load_weights
from safetensors.torch import save_file
from torch import Tensor

pytest.importorskip("transformers")

MANIFEST = Path(__file__).parents[2] / "tests" / "golden" / "wan" / "manifest_umt5_xxl_encoder.json.gz"
SHAPE = Umt5Config(vocab_size=20, dim=8, attention_dim=12, ffn_dim=16, num_heads=2, num_layers=2)
IDS = torch.tensor([[3, 4, 5, 1]])
IN_BLOCK = [
    "norm1",
    "attn.q",
    "attn.k",
    "attn.v",
    "attn.o",
    "norm2",
    "ffn.gate.0",
    "ffn.fc1",
    "ffn.fc2",
    "pos_embedding.embedding",
]
OFFICIAL = [
    "token_embedding.weight",
    *(f"blocks.{block}.{part}.weight" for block in range(SHAPE.num_layers) for part in IN_BLOCK),
    "norm.weight",
]


@pytest.fixture
def network() -> Umt5Network:
    made = Umt5Network(SHAPE)
    initialise(made, seed=1)
    return made.requires_grad_(False)


def loaded(path: Path) -> Tensor:
    with torch.device("meta"):
        empty = Umt5Network(SHAPE)
    load_weights(empty, path, device=torch.device("cpu"), dtype=torch.float32, rename=network_name)
    result: Tensor = empty(IDS)
    return result


@pytest.mark.skipif(not MANIFEST.is_file(), reason="the manifest lies in the repository alone")
def test_the_xxl_network_has_the_official_tensors_and_no_other() -> None:
    tensors = json.loads(gzip.decompress(MANIFEST.read_bytes()))["tensors"]
    with torch.device("meta"):
        network = Umt5Network(Umt5Config())
    ours = {name: [list(value.shape), "float32"] for name, value in network.state_dict().items()}
    assert {network_name(name): value for name, value in tensors.items()} == ours
    assert len(ours) == len(tensors)
    assert not list(network.buffers())


def test_a_file_with_the_official_names_loads(network: Umt5Network, tmp_path: Path) -> None:
    weights = {name: network.state_dict()[network_name(name)] for name in OFFICIAL}
    torch.save(weights, tmp_path / "umt5.pth")
    assert torch.equal(loaded(tmp_path / "umt5.pth"), network(IDS))


def test_a_folder_of_the_diffusers_layout_loads(network: Umt5Network, tmp_path: Path) -> None:
    weights = network.state_dict()
    weights["shared.weight"] = weights.pop("encoder.embed_tokens.weight")
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, inside in parts.items():
        save_file({name: weights[name] for name in inside}, tmp_path / shard)
    index = {"weight_map": {name: shard for shard, inside in parts.items() for name in inside}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(loaded(tmp_path), network(IDS))


def test_a_decoder_in_the_file_is_named(network: Umt5Network, tmp_path: Path) -> None:
    weights = {**network.state_dict(), "decoder.block.0.layer.0.layer_norm.weight": torch.zeros(8)}
    torch.save(weights, tmp_path / "umt5.pth")
    with pytest.raises(CheckpointError, match=r"1 unexpected: decoder\.block\.0"):
        loaded(tmp_path / "umt5.pth")


def test_masked_padding_changes_nothing(network: Umt5Network) -> None:
    padded = torch.cat([IDS, torch.zeros(1, 3, dtype=torch.int64)], dim=1)
    mask = (torch.arange(7) < 4).long().unsqueeze(0)
    torch.testing.assert_close(network(padded, mask)[:, :4], network(IDS))
    assert not torch.allclose(network(padded)[:, :4], network(IDS))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'inferix-wan\[text\]'"):
        Umt5Network(SHAPE)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="attention_dim 10 cannot be split into 4 heads"):
        Umt5Config(attention_dim=10, num_heads=4)
