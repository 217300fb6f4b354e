"""Runners of the golden cases of the text encoder and the image encoder.

Letters: B prompts or pictures, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from inferix_core.errors import UnsupportedError
from inferix_wan.image import ClipConfig
from inferix_wan.image.clip import ClipNetwork
from inferix_wan.image.clip import network_name as clip_name
from inferix_wan.image.clip_encoder import ClipImageEncoder
from inferix_wan.text import Umt5Config
from inferix_wan.text.umt5 import Umt5Network
from inferix_wan.text.umt5 import network_name as umt5_name
from inferix_wan.weights import Rename
from outcome import Unsupported
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

Tensors = Mapping[str, Tensor]


def run_text_encoder(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Prompts of several lengths, each encoded alone as `Umt5TextEncoder` does, then padded with zeros."""
    network = _umt5(case["constructor"], tensors)
    embeddings = [network(ids.unsqueeze(0))[0] for ids in _valid(tensors)]
    return {"prompt_embeds": pad_sequence(embeddings, batch_first=True)}


def run_umt5(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Padded prompts with and without a mask, a long one, and prompts alone without padding."""
    network = _umt5(case["constructor"], tensors)
    alone = {f"trimmed{index}": network(ids.unsqueeze(0))[0] for index, ids in enumerate(_valid(tensors))}
    return {
        "full": network(tensors["in.ids"], tensors["in.mask"]),
        "nomask": network(tensors["in.ids"]),
        "long.full": network(tensors["in.long.ids"], tensors["in.long.mask"]),
        **alone,
    }


def run_clip(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Pictures of several sizes through the encoder, and normalised ones through the network."""
    given = case["constructor"]
    network = ClipNetwork(
        ClipConfig(
            image_size=given["image_size"],
            patch_size=given["patch_size"],
            dim=given["vision_dim"],
            mlp_ratio=given["vision_mlp_ratio"],
            num_heads=given["vision_heads"],
            num_layers=given["vision_layers"],
        )
    )
    _load(network, tensors, clip_name)
    encoder = ClipImageEncoder(network)
    pictures = [tensors[name].transpose(0, 1) for name in sorted(tensors) if name.startswith("in.img")]
    return {
        "visual": torch.cat([encoder.encode(picture) for picture in pictures]),
        "pre.tokens": network(tensors["in.pre"]),
        "pre.tokens_all_blocks": network.tokens_after(given["vision_layers"], tensors["in.pre"]),
    }


def _umt5(given: Mapping[str, Any], tensors: Tensors) -> Umt5Network:
    try:
        network = Umt5Network(
            Umt5Config(
                vocab_size=given["vocab"],
                dim=given["dim"],
                attention_dim=given["dim_attn"],
                ffn_dim=given["dim_ffn"],
                num_heads=given["num_heads"],
                num_layers=given["num_layers"],
                num_buckets=given["num_buckets"],
            )
        )
    except UnsupportedError as error:
        raise Unsupported(str(error)) from error
    _load(network, tensors, umt5_name)
    return network


def _load(network: nn.Module, tensors: Tensors, rename: Rename) -> None:
    names = {name: rename(name.removeprefix("sd.")) for name in tensors if name.startswith("sd.")}
    network.load_state_dict({new: tensors[name] for name, new in names.items() if new is not None}, strict=True)
    network.requires_grad_(False)


def _valid(tensors: Tensors) -> list[Tensor]:
    """The ids [T] of each prompt, without padding."""
    return [ids[: int(mask.sum())] for ids, mask in zip(tensors["in.ids"], tensors["in.mask"], strict=True)]
