"""A tiny network loads with equal tensors from every layout on disk that people have."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError
from inferix_wan.checkpoints.diffusers import transformer_name, umt5_name, vae_name
from inferix_wan.image import ClipConfig
from inferix_wan.image.clip import ClipNetwork
from inferix_wan.image.clip import network_name as clip_name
from inferix_wan.initialisation import initialise
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.transformer import WanTransformer
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
from inferix_wan.weights import Rename, check_weights, load_weights
from safetensors.torch import save_file
from torch import Tensor, nn

Weights = dict[str, Tensor]

CPU = torch.device("cpu")
SHAPE = TransformerConfig(
    dim=8, ffn_dim=12, num_heads=1, num_layers=2, freq_dim=4, text_dim=4, text_len=3, in_channels=5, image_dim=6,
    out_channels=2,
)  # fmt: skip
VAE = VaeConfig(base_dim=2, num_res_blocks=1)
CLIP = ClipConfig(image_size=4, patch_size=2, dim=4, num_heads=2, num_layers=2)
DIFFUSERS = json.loads(gzip.decompress((Path(__file__).parent / "diffusers_tensors.json.gz").read_bytes()))


def transformer() -> nn.Module:
    return WanTransformer(SHAPE)


def vae() -> nn.Module:
    return WanVAE(VAE)


def clip() -> nn.Module:
    return ClipNetwork(CLIP)


def weights_of(make: Callable[[], nn.Module]) -> Weights:
    """Weights of which no two tensors are alike."""
    network = make()
    initialise(network, seed=1)
    for index, value in enumerate(network.state_dict().values()):
        value.add_(0.001 * index)
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_loads(make: Callable[[], nn.Module], path: Path, weights: Weights, rename: Rename | None = None) -> None:
    network = make()
    load_weights(network, path, device=CPU, dtype=torch.float32, rename=rename)
    loaded = network.state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


def save_sharded(weights: Weights, folder: Path, *, stem: str, with_index: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(weights)
    parts = {f"{stem}-0000{part}-of-00003.safetensors": names[part - 1 :: 3] for part in (1, 2, 3)}
    for shard, inside in parts.items():
        save_file({name: weights[name] for name in inside}, folder / shard)
    if with_index:
        shard_of = {name: shard for shard, inside in parts.items() for name in inside}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))


def as_diffusers(weights: Weights, name_of: Callable[[str], str], listing: str) -> Weights:
    theirs = {name_of(name): name for name in DIFFUSERS[listing]}
    return {theirs[name]: value for name, value in weights.items()}


def save_official_folder(folder: Path) -> dict[str, Weights]:
    folder.mkdir()
    weights = {"transformer": weights_of(transformer), "vae": weights_of(vae), "clip": weights_of(clip)}
    save_sharded(weights["transformer"], folder, stem="diffusion_pytorch_model")
    torch.save(weights["vae"], folder / "Wan2.1_VAE.pth")
    text_tower = {"textual.norm.weight": torch.ones(3), "log_scale": torch.tensor(1.0), "visual.head": torch.ones(2, 2)}
    image_tower = {f"visual.{name}": value for name, value in weights["clip"].items()}
    torch.save(image_tower | text_tower, folder / "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth")
    torch.save({"token_embedding.weight": torch.ones(2, 2)}, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    (folder / "config.json").write_text("{}")
    return weights


def test_each_network_finds_its_part_in_an_official_folder(tmp_path: Path) -> None:
    weights = save_official_folder(tmp_path / "wan")
    assert_loads(transformer, tmp_path / "wan", weights["transformer"])
    assert_loads(vae, tmp_path / "wan", weights["vae"])
    assert_loads(clip, tmp_path / "wan", weights["clip"], rename=clip_name)


def test_shards_without_an_index_load_and_a_missing_one_is_named(tmp_path: Path) -> None:
    weights = weights_of(transformer)
    save_sharded(weights, tmp_path, stem="diffusion_pytorch_model", with_index=False)
    assert_loads(transformer, tmp_path, weights)
    (tmp_path / "diffusion_pytorch_model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"3 shards, but diffusion_pytorch_model-00002-of-00003\.safetensors"):
        check_weights(transformer(), tmp_path)


def test_each_network_finds_its_part_in_a_diffusers_folder(tmp_path: Path) -> None:
    ours = {"transformer": weights_of(transformer), "vae": weights_of(vae)}
    listing = "WanTransformer3DModel i2v-14B"
    save_sharded(
        as_diffusers(ours["transformer"], transformer_name, listing),
        tmp_path / "transformer",
        stem="diffusion_pytorch_model",
    )
    (tmp_path / "vae").mkdir()
    # One residual block less on each level, so that all behind the first has another place in the official row.
    listed = {name: name for name in DIFFUSERS["AutoencoderKLWan"] if ".resnets.2." not in name}
    encoder = {
        name.replace(f"down_blocks.{theirs}.", f"down_blocks.{ours_at}.")
        for theirs, ours_at in {0: 0, 2: 1, 3: 2, 5: 3, 6: 4, 8: 5, 9: 6}.items()
        for name in listed
        if name.startswith(f"encoder.down_blocks.{theirs}.")
    }
    others = {name for name in listed if not name.startswith("encoder.down_blocks.")}
    theirs = {vae_name(name, num_block_resnets=2): name for name in encoder | others}
    saved = {theirs[name]: value for name, value in ours["vae"].items()}
    save_file(saved, tmp_path / "vae" / "diffusion_pytorch_model.safetensors")
    assert_loads(transformer, tmp_path, ours["transformer"])
    assert_loads(vae, tmp_path, ours["vae"])
    assert_loads(vae, tmp_path / "vae", ours["vae"])


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_the_image_encoder_of_a_diffusers_folder_loads(tmp_path: Path, prefix: str) -> None:
    weights = weights_of(clip)
    theirs: Weights = {f"{prefix}post_layernorm.weight": torch.ones(4)}
    top = {
        "cls_embedding": "embeddings.class_embedding",
        "pos_embedding": "embeddings.position_embedding.weight",
        "patch_embedding.weight": "embeddings.patch_embedding.weight",
        "pre_norm.weight": "pre_layrnorm.weight",
        "pre_norm.bias": "pre_layrnorm.bias",
    }
    inside = {
        "norm1": "layer_norm1",
        "norm2": "layer_norm2",
        "attn.proj": "self_attn.out_proj",
        "mlp.0": "mlp.fc1",
        "mlp.2": "mlp.fc2",
    }
    for name, value in weights.items():
        if name in top:
            leading = {"cls_embedding": 2, "pos_embedding": 1}.get(name, 0)
            theirs[prefix + top[name]] = value.reshape(value.shape[leading:])
            continue
        _, layer, rest = name.split(".", 2)
        stem, _, kind = rest.rpartition(".")
        place = f"{prefix}encoder.layers.{layer}"
        if stem == "attn.to_qkv":
            for part, third in zip("qkv", value.chunk(3), strict=True):
                theirs[f"{place}.self_attn.{part}_proj.{kind}"] = third.clone()
        else:
            theirs[f"{place}.{inside[stem]}.{kind}"] = value
    (tmp_path / "image_encoder").mkdir()
    save_file(theirs, tmp_path / "image_encoder" / "model.safetensors")
    assert_loads(clip, tmp_path, weights, rename=clip_name)


def test_a_self_forcing_file_gives_the_averaged_weights_unless_others_are_asked_for(tmp_path: Path) -> None:
    averaged = weights_of(transformer)
    raw = {name: value + 1 for name, value in averaged.items()}
    torch.save(
        {
            "critic": {"model.head.head.bias": torch.zeros(8)},
            "generator": {f"model.{name}": value for name, value in raw.items()},
            "generator_ema": {f"model._orig_mod.{name}": value for name, value in averaged.items()},
        },
        tmp_path / "self_forcing_dmd.pt",
    )
    assert_loads(transformer, tmp_path / "self_forcing_dmd.pt", averaged)
    network = transformer()
    load_weights(network, tmp_path / "self_forcing_dmd.pt", device=CPU, dtype=torch.float32, state_dict="generator")
    assert torch.equal(network.state_dict()["head.head.bias"], raw["head.head.bias"])
    with pytest.raises(CheckpointError, match=r"has no state dict 'ema': it has critic, generator, generator_ema"):
        check_weights(network, tmp_path / "self_forcing_dmd.pt", state_dict="ema")


def test_a_causvid_folder_loads(tmp_path: Path) -> None:
    weights = weights_of(transformer)
    torch.save({"generator": {f"model.{name}": value for name, value in weights.items()}}, tmp_path / "model.pt")
    assert_loads(transformer, tmp_path, weights)
    assert_loads(transformer, tmp_path / "model.pt", weights)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("blocks.7.attn1.to_q.weight", "blocks.7.self_attn.q.weight"),
        ("blocks.7.attn2.to_v.bias", "blocks.7.cross_attn.v.bias"),
        ("blocks.7.attn2.to_out.0.weight", "blocks.7.cross_attn.o.weight"),
        ("blocks.7.attn2.add_k_proj.weight", "blocks.7.cross_attn.k_img.weight"),
        ("blocks.7.norm2.weight", "blocks.7.norm3.weight"),
        ("blocks.7.ffn.net.2.bias", "blocks.7.ffn.2.bias"),
        ("blocks.7.scale_shift_table", "blocks.7.modulation"),
        ("scale_shift_table", "head.modulation"),
        ("condition_embedder.image_embedder.norm2.bias", "img_emb.proj.4.bias"),
        ("condition_embedder.time_proj.weight", "time_projection.1.weight"),
    ],
)
def test_tensors_of_one_shape_are_not_taken_for_each_other_in_the_transformer(theirs: str, ours: str) -> None:
    assert transformer_name(theirs) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("decoder.up_blocks.1.resnets.2.conv2.weight", "decoder.upsamples.6.residual.6.weight"),
        ("decoder.up_blocks.2.upsamplers.0.resample.1.bias", "decoder.upsamples.11.resample.1.bias"),
        ("decoder.mid_block.resnets.1.norm1.gamma", "decoder.middle.2.residual.0.gamma"),
        ("encoder.down_blocks.3.conv_shortcut.bias", "encoder.downsamples.3.shortcut.bias"),
        ("encoder.mid_block.attentions.0.to_qkv.bias", "encoder.middle.1.to_qkv.bias"),
        ("quant_conv.weight", "conv1.weight"),
        ("post_quant_conv.bias", "conv2.bias"),
        ("decoder.norm_out.gamma", "decoder.head.0.gamma"),
    ],
)
def test_tensors_of_one_shape_are_not_taken_for_each_other_in_the_vae(theirs: str, ours: str) -> None:
    assert vae_name(theirs, num_block_resnets=3) == ours


def test_gate_and_value_of_the_text_encoder_are_told_apart() -> None:
    assert umt5_name("encoder.block.3.layer.1.DenseReluDense.wi_0.weight") == "blocks.3.ffn.gate.0.weight"
    assert umt5_name("encoder.block.3.layer.1.DenseReluDense.wi_1.weight") == "blocks.3.ffn.fc1.weight"
    assert umt5_name("encoder.final_layer_norm.weight") == "norm.weight"
