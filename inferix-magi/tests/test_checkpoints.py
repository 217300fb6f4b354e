"""Transformers load from every official layout, each weight in its precision; others are called what they are."""

import json
from pathlib import Path

import pytest
import torch
from inferix_core.checkpoints import Shapes
from inferix_core.errors import CheckpointError, ConfigError
from inferix_core.specs import ComponentConfig
from inferix_magi.checkpoints.kinds import NETWORKS, recognised
from inferix_magi.checkpoints.loading import check_transformer, load_transformer
from inferix_magi.checkpoints.shapes import packed_transformer_tensors, transformer_tensors
from inferix_magi.quantized.linear import CODES, PackedLinear
from inferix_magi.quantized.quantizer import PackedWeights
from inferix_magi.transformer.config import TransformerConfig
from inferix_magi.transformer.official import MAGI_4_5B, MAGI_24B
from inferix_magi.transformer.transformer import MagiTransformer
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]

CPU = torch.device("cpu")
SHAPE = TransformerConfig(
    dim=32, ffn_dim=48, num_heads=2, num_kv_heads=1, head_dim=16, num_layers=3, condition_dim=8, text_dim=16,
    text_len=8, text_hidden_dim=16,
)  # fmt: skip
NARROW = "videodit_blocks.layers.1.mlp.linear_fc1.weight"
WIDE = ("x_embedder.weight", "rope.bands", "videodit_blocks.layers.0.self_attention.q_layernorm.weight")


def weights_of(shapes: Shapes) -> Weights:
    """No two tensors are alike; packed ones have codes."""
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    made |= {name: (value.abs() * 0.1 + 0.1) for name, value in made.items() if name.endswith("_scale")}
    packed = [name for name in made if f"{name}_scale" in made]
    return {name: value.to(CODES) if name in packed else value for name, value in made.items()}


def transformer() -> MagiTransformer:
    with torch.device("meta"):
        return MagiTransformer(SHAPE)


def loaded(path: Path, *, is_distilled: bool = False, packed: bool = False) -> MagiTransformer:
    made = transformer()
    quantizer = PackedWeights(ComponentConfig(), device=CPU) if packed else None
    load_transformer(
        made, path, size="4.5B", is_distilled=is_distilled, device=CPU, dtype=torch.bfloat16, quantizer=quantizer
    )
    return made


def save_sharded(weights: Weights, folder: Path) -> None:
    folder.mkdir(parents=True)
    shard_of = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(sorted(weights))}
    for shard in set(shard_of.values()):
        save_file({name: weights[name] for name in weights if shard_of[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))


def save_single(weights: Weights, folder: Path) -> None:
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize("save", [save_single, save_sharded])
@pytest.mark.parametrize(
    ("place", "is_distilled", "packed"),
    [
        ("", False, False),
        ("inference_weight", False, False),
        ("4.5B_base/inference_weight", False, False),
        ("ckpt/magi/4.5B_distill/inference_weight.distill", True, False),
        ("magi/4.5B_distill_quant/inference_weight.fp8.distill", True, True),
    ],
)
def test_a_release_loads_out_of_its_layout(tmp_path: Path, save, place: str, is_distilled: bool, packed: bool) -> None:
    weights = weights_of(packed_transformer_tensors(SHAPE) if packed else transformer_tensors(SHAPE))
    save(weights, tmp_path / "w" / place)
    found = loaded(tmp_path / "w", is_distilled=is_distilled, packed=packed).state_dict()
    assert found.keys() == weights.keys()
    for name, value in found.items():
        expected = weights[name].squeeze(0) if packed and name.endswith((NARROW, "smooth_scale")) else weights[name]
        assert torch.equal(value.float().flatten(), expected.to(value.dtype).float().flatten()), name


def test_of_a_whole_download_the_release_is_taken_that_is_configured(tmp_path: Path) -> None:
    base, distilled = (weights_of(transformer_tensors(SHAPE)) for _ in range(2))
    distilled["rope.bands"] = distilled["rope.bands"] + 1.0
    save_single(base, tmp_path / "ckpt" / "magi" / "4.5B_base" / "inference_weight")
    save_single(distilled, tmp_path / "ckpt" / "magi" / "4.5B_distill" / "inference_weight.distill")
    assert torch.equal(loaded(tmp_path).rope["bands"], base["rope.bands"])
    assert torch.equal(loaded(tmp_path, is_distilled=True).rope["bands"], distilled["rope.bands"])


def test_a_download_without_the_release_says_where_it_was_looked_for(tmp_path: Path) -> None:
    save_single(weights_of(transformer_tensors(SHAPE)), tmp_path / "ckpt" / "magi" / "4.5B_base")
    with pytest.raises(CheckpointError, match=r"holds no checkpoint, but ckpt\. Looked for: ckpt/magi/4\.5B_distill, "):
        loaded(tmp_path, is_distilled=True)


def test_embedders_and_norms_stay_in_float32_whatever_the_file_has(tmp_path: Path) -> None:
    weights = weights_of(transformer_tensors(SHAPE))
    save_single({name: value.bfloat16() for name, value in weights.items()}, tmp_path / "w")
    found = loaded(tmp_path / "w").state_dict()
    assert found[NARROW].dtype == torch.bfloat16
    assert {found[name].dtype for name in WIDE} == {torch.float32}


def test_packed_layers_are_all_but_the_first_and_the_last(tmp_path: Path) -> None:
    save_single(weights_of(packed_transformer_tensors(SHAPE)), tmp_path / "w")
    made = loaded(tmp_path / "w", packed=True)
    packed = {name for name, module in made.named_modules() if isinstance(module, PackedLinear)}
    assert {name.split(".")[2] for name in packed} == {"1"}
    assert len(packed) == 7
    assert made.state_dict()[NARROW].dtype == CODES


def test_packed_weights_without_their_quantizer_and_the_reverse_are_refused(tmp_path: Path) -> None:
    save_single(weights_of(packed_transformer_tensors(SHAPE)), tmp_path / "fp8")
    save_single(weights_of(transformer_tensors(SHAPE)), tmp_path / "plain")
    with pytest.raises(CheckpointError, match=r"16 unexpected: .*_scale"):
        loaded(tmp_path / "fp8")
    with pytest.raises(CheckpointError, match=r"16 missing: .*_scale"):
        loaded(tmp_path / "plain", packed=True)


def test_a_file_of_the_other_size_is_called_what_it_is(tmp_path: Path) -> None:
    shapes = {name: (1,) * len(shape) for name, shape in transformer_tensors(MAGI_24B).items()}
    shapes |= {name: transformer_tensors(MAGI_24B)[name] for name in ("videodit_blocks.final_layernorm.weight",)}
    shapes["x_embedder.weight"] = (1, 32, 1, 1, 1)
    save_single({name: torch.zeros(shape, dtype=torch.bfloat16) for name, shape in shapes.items()}, tmp_path / "w")
    with torch.device("meta"):
        made = MagiTransformer(MAGI_4_5B)
    with pytest.raises(
        CheckpointError, match=r'It is the 24B transformer .* Use it with magi, model\.preset = "24B" or'
    ):
        check_transformer(made, tmp_path / "w", size="4.5B", is_distilled=False)


def test_a_transformer_that_does_not_fit_stays_as_it_was(tmp_path: Path) -> None:
    weights = weights_of(transformer_tensors(SHAPE))
    del weights[NARROW]
    save_single(weights, tmp_path / "w")
    made = transformer()
    with pytest.raises(CheckpointError, match=f"1 missing: {NARROW}"):
        load_transformer(made, tmp_path / "w", size="4.5B", is_distilled=False, device=CPU, dtype=torch.float32)
    assert all(value.is_meta for value in made.state_dict().values())


def test_compressed_shards_are_refused_with_the_command_that_unpacks_them(tmp_path: Path) -> None:
    save_sharded(weights_of(transformer_tensors(SHAPE)), tmp_path / "w")
    shard = tmp_path / "w" / "model-00002-of-00002.safetensors"
    shard.rename(f"{shard}.zst")
    with pytest.raises(CheckpointError, match=r"1 are compressed, .* zstd -d .*model-00002-of-00002\.safetensors\.zst"):
        loaded(tmp_path / "w")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "model.safetensors.zst").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is compressed .* zstd -d"):
        loaded(tmp_path / "one")


def test_a_network_without_layers_for_them_is_refused_by_the_quantizer() -> None:
    modules = dict(torch.nn.Sequential(torch.nn.Linear(2, 2)).named_modules())
    with pytest.raises(ConfigError, match="this network has no layers for them"):
        PackedWeights(ComponentConfig(), device=CPU).targets(modules)


@pytest.mark.parametrize("packed", [False, True])
def test_the_listed_tensors_are_those_of_the_network(packed: bool) -> None:
    made = transformer()
    if packed:
        quantizer = PackedWeights(ComponentConfig(), device=CPU)
        modules = {name: module for name, module in made.named_modules() if name}
        for name in quantizer.targets(modules):
            made.set_submodule(name, quantizer.replace(name, modules[name]))
    listed = packed_transformer_tensors(SHAPE) if packed else transformer_tensors(SHAPE)
    assert made.state_dict().keys() == listed.keys()
    assert packed or {name: tuple(value.shape) for name, value in made.state_dict().items()} == listed


@pytest.mark.parametrize("name", NETWORKS)
def test_an_official_network_is_recognised_by_its_tensors(name: str) -> None:
    kind = recognised(NETWORKS[name]())
    assert kind is not None
    assert kind.network == name


def test_tensors_of_something_else_are_not_taken_for_magi() -> None:
    assert recognised({"model.layers.0.self_attn.q_proj.weight": (2, 2)}) is None
