"""Runner of MAGI-1's golden case of small parts of the transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from inferix_core.patching import unpatched
from inferix_magi.transformer.embedding import embedded_patches, sinusoid
from inferix_magi.transformer.layers import TransformerLayer, gated_add
from magi_network import CPU, as_latents, network_of
from torch import Tensor


def run_units(case: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Embedders, rotary tables, the gated residual, norms, patches, feed-forward."""
    network = network_of(case, tensors)
    config, layer = network.config, cast("TransformerLayer", network.layers[0])
    captions = network.y_embedder
    with_text, without = captions.presence()
    outputs = {
        "t_emb.freq": sinusoid(tensors["t_emb.t"], dim=config.freq_dim),
        "t_emb.out": network.t_embedder([tensors["t_emb.t"].tolist()], dtype=torch.float32, device=CPU)[0],
        "y_emb.xattn": captions(tensors["y_emb.caption"]),
        "y_emb.adaln": torch.stack([with_text, without]).unsqueeze(1),
        "y_emb.adaln_no_mask": captions.y_proj_adaln(tensors["y_emb.caption"]),
        "patch.out": _patched(tensors["patch.in"], network.x_embedder),
        "unpatch.out": as_latents(unpatched(tensors["unpatch.in"].transpose(0, 1), grid=(2, 3, 4), patch_size=(2, 2))),
        "qnorm.out": layer.self_attention.q_layernorm(tensors["bma.x"].reshape(-1, config.head_dim)),
        "mlp.out": layer.mlp(tensors["bma.x"]),
        "bma.softcap": tensors["bma.gate"].tanh(),
    }
    gates = outputs["bma.softcap"].flatten(0, 1)[tensors["bma.map"]]  # [S, N, D]: one "latent" for each token
    outputs["bma.out"] = gated_add(
        tensors["bma.residual"], tensors["bma.x"], gate=gates, norm=layer.self_attn_post_norm
    )
    for name in (name for name in tensors if name.startswith("rope") and name.endswith(".shape")):
        num_latents, rows, columns = tensors[name].tolist()
        cosine, sine = network.rotary(rows=rows, columns=columns).table([range(num_latents)])[0].unbind(-1)
        outputs[name.replace("shape", "out")] = torch.cat([sine, cosine], dim=-1)
    return outputs


def _patched(video: Tensor, convolution: torch.nn.Conv3d) -> Tensor:
    tokens = embedded_patches(as_latents(video), convolution)
    num_latents, height, width = video.shape[2:]
    grid = (num_latents, height // 2, width // 2)
    return tokens.transpose(1, 2).unflatten(2, grid)
