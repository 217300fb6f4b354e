"""The names that the diffusers layout gives the tensors of Wan 2.1, turned into the official ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from inferix_core.checkpoints import LazyTensor, Shape

if TYPE_CHECKING:
    from torch import Tensor

_TRANSFORMER_MARK = "blocks.0.attn1.to_q.weight"
_TRANSFORMER_TOP = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "proj_out": "head.head",
}
_TRANSFORMER_BLOCK = {
    "attn1.to_q": "self_attn.q",
    "attn1.to_k": "self_attn.k",
    "attn1.to_v": "self_attn.v",
    "attn1.to_out.0": "self_attn.o",
    "attn1.norm_q": "self_attn.norm_q",
    "attn1.norm_k": "self_attn.norm_k",
    "attn2.to_q": "cross_attn.q",
    "attn2.to_k": "cross_attn.k",
    "attn2.to_v": "cross_attn.v",
    "attn2.to_out.0": "cross_attn.o",
    "attn2.norm_q": "cross_attn.norm_q",
    "attn2.norm_k": "cross_attn.norm_k",
    "attn2.add_k_proj": "cross_attn.k_img",
    "attn2.add_v_proj": "cross_attn.v_img",
    "attn2.norm_added_k": "cross_attn.norm_k_img",
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}

_VAE_MARK = "decoder.up_blocks.0.resnets.0.conv1.weight"
_VAE_TOP = {"quant_conv": "conv1", "post_quant_conv": "conv2"}
_VAE_SIDE = {
    "conv_in": "conv1",
    "norm_out": "head.0",
    "conv_out": "head.2",
    "mid_block.resnets.0": "middle.0",
    "mid_block.attentions.0": "middle.1",
    "mid_block.resnets.1": "middle.2",
}
_VAE_RESIDUAL = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}

_UMT5_MARK = "encoder.block.0."
_UMT5_TOP = {
    "shared.weight": "token_embedding.weight",
    "encoder.embed_tokens.weight": "token_embedding.weight",
    "encoder.final_layer_norm.weight": "norm.weight",
}
_UMT5_BLOCK = {
    "layer.0.layer_norm": "norm1",
    "layer.0.SelfAttention.q": "attn.q",
    "layer.0.SelfAttention.k": "attn.k",
    "layer.0.SelfAttention.v": "attn.v",
    "layer.0.SelfAttention.o": "attn.o",
    "layer.0.SelfAttention.relative_attention_bias": "pos_embedding.embedding",
    "layer.1.layer_norm": "norm2",
    "layer.1.DenseReluDense.wi_0": "ffn.gate.0",
    "layer.1.DenseReluDense.wi_1": "ffn.fc1",
    "layer.1.DenseReluDense.wo": "ffn.fc2",
}

_CLIP_MARK = "embeddings.class_embedding"
_CLIP_PREFIX = "vision_model."
_CLIP_TOP = {
    "embeddings.class_embedding": "cls_embedding",
    "embeddings.position_embedding.weight": "pos_embedding",
    "embeddings.patch_embedding.weight": "patch_embedding.weight",
    "pre_layrnorm.weight": "pre_norm.weight",
    "pre_layrnorm.bias": "pre_norm.bias",
}
_CLIP_LAYER = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "self_attn.out_proj": "attn.proj",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.2",
}
_CLIP_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_NUM_LEADING_ONES = {"embeddings.class_embedding": 2, "embeddings.position_embedding.weight": 1}
_CLIP_UNUSED = ("post_layernorm.", "visual_projection.", "embeddings.position_ids")


def official_tensors(tensors: Mapping[str, LazyTensor]) -> Mapping[str, LazyTensor]:
    """The tensors under the official names where those of another layout are found, otherwise as they are.

    Names that belong to no layout stay, so that they can be reported.
    """
    if _TRANSFORMER_MARK in tensors:
        return {transformer_name(name): value for name, value in tensors.items()}
    if _VAE_MARK in tensors:
        per_block = 1 + max(int(name.split(".")[4]) for name in tensors if name.startswith("decoder.up_blocks.0.res"))
        return {vae_name(name, num_block_resnets=per_block): value for name, value in tensors.items()}
    if any(name.startswith(_UMT5_MARK) for name in tensors):
        return {umt5_name(name): value for name, value in tensors.items()}
    bare = {name.removeprefix(_CLIP_PREFIX): value for name, value in tensors.items()}
    return _official_clip(bare) if _CLIP_MARK in bare else tensors


def transformer_name(name: str) -> str:
    """The official name of a tensor of `WanTransformer3DModel`."""
    if name == "scale_shift_table":
        return "head.modulation"
    stem, _, kind = name.rpartition(".")
    if stem in _TRANSFORMER_TOP:
        return f"{_TRANSFORMER_TOP[stem]}.{kind}"
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if found is None:
        return name
    if found[2] == "scale_shift_table":
        return f"blocks.{found[1]}.modulation"
    stem, _, kind = found[2].rpartition(".")
    return f"blocks.{found[1]}.{_TRANSFORMER_BLOCK.get(stem, stem)}.{kind}"


def vae_name(name: str, *, num_block_resnets: int) -> str:
    """The official name of a tensor of `AutoencoderKLWan`, whose decoder has that many residual blocks at a size.

    The official decoder counts residual blocks and upsamplers in one row.
    """
    for theirs, ours in _VAE_TOP.items():
        if name.startswith(f"{theirs}."):
            return name.replace(theirs, ours, 1)
    side, _, rest = name.partition(".")
    for theirs, ours in _VAE_SIDE.items():
        if rest.startswith(f"{theirs}."):
            return f"{side}.{ours}.{_residual(rest.removeprefix(f'{theirs}.'), inside=theirs)}"
    if found := re.fullmatch(r"down_blocks\.(\d+)\.(.+)", rest):
        return f"{side}.downsamples.{found[1]}.{_residual(found[2], inside='resnets')}"
    if found := re.fullmatch(r"up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.(.+)", rest):
        place = int(found[1]) * (num_block_resnets + 1) + int(found[3])
        place += num_block_resnets if found[2] == "upsamplers" else 0
        return f"{side}.upsamples.{place}.{_residual(found[4], inside=found[2])}"
    return name


def umt5_name(name: str) -> str:
    """The official name of a tensor of `UMT5EncoderModel`."""
    found = re.fullmatch(r"encoder\.block\.(\d+)\.(.+)\.weight", name)
    if found is None or found[2] not in _UMT5_BLOCK:
        return _UMT5_TOP.get(name, name)
    return f"blocks.{found[1]}.{_UMT5_BLOCK[found[2]]}.weight"


def _residual(name: str, *, inside: str) -> str:
    stem, _, kind = name.rpartition(".")
    return f"{_VAE_RESIDUAL[stem]}.{kind}" if "resnets" in inside and stem in _VAE_RESIDUAL else name


def _official_clip(tensors: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """The image tower, whose queries, keys and values are one tensor in the official file."""
    official: dict[str, LazyTensor] = {}
    for name, value in tensors.items():
        found = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
        if name in _CLIP_TOP:
            ones = (1,) * _NUM_LEADING_ONES.get(name, 0)
            official[f"visual.{_CLIP_TOP[name]}"] = _with_leading(value, ones)
        elif found is not None and found[2] in _CLIP_QKV:
            parts = [tensors[other] for part in _CLIP_QKV if (other := name.replace(found[2], part)) in tensors]
            official[f"visual.transformer.{found[1]}.attn.to_qkv.{found[3]}"] = _stacked(parts)
        elif found is not None and found[2] in _CLIP_LAYER:
            official[f"visual.transformer.{found[1]}.{_CLIP_LAYER[found[2]]}.{found[3]}"] = value
        elif not name.startswith(_CLIP_UNUSED):
            official[name] = value
    return official


def _with_leading(tensor: LazyTensor, ones: Shape) -> LazyTensor:
    shape = (*ones, *tensor.shape)
    return LazyTensor(shape, tensor.dtype, lambda: tensor.read().reshape(shape))


def _stacked(parts: Sequence[LazyTensor]) -> LazyTensor:
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    return LazyTensor(shape, parts[0].dtype, partial(_read_stacked, parts))


def _read_stacked(parts: Sequence[LazyTensor]) -> Tensor:
    import torch

    return torch.cat([part.read() for part in parts])
