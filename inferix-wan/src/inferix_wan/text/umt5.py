"""The UMT5 encoder network: that of transformers, under the names that either layout of its weights has.

Letters: B prompts, T tokens.
"""

from __future__ import annotations

import importlib
import re
from typing import Any, cast

from inferix_core.errors import UnsupportedError
from torch import Tensor, nn

from inferix_wan.text.config import Umt5Config

_MAX_DISTANCE = 128  # relative positions from here on share a bucket
_TABLE = "encoder.embed_tokens.weight"
_TOP = {"token_embedding.weight": _TABLE, "shared.weight": _TABLE, "norm.weight": "encoder.final_layer_norm.weight"}
_IN_BLOCK = {
    "norm1": "layer.0.layer_norm",
    "attn.q": "layer.0.SelfAttention.q",
    "attn.k": "layer.0.SelfAttention.k",
    "attn.v": "layer.0.SelfAttention.v",
    "attn.o": "layer.0.SelfAttention.o",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}


class Umt5Network(nn.Module):
    """Token ids to embeddings. All its state is in its state dict, so that it may be built on the meta device.

    Raises `UnsupportedError` if the package transformers is not installed.
    """

    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        transformers = _transformers()
        shape = transformers.UMT5Config(
            vocab_size=config.vocab_size,
            d_model=config.dim,
            d_kv=config.attention_dim // config.num_heads,
            d_ff=config.ffn_dim,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            relative_attention_num_buckets=config.num_buckets,
            relative_attention_max_distance=_MAX_DISTANCE,
            layer_norm_epsilon=config.eps,
            feed_forward_proj="gated-gelu",
            # The original's order of roundings, also in bfloat16: a fused kernel keeps scores in float32.
            attn_implementation="eager",
        )
        self.config = config
        self.encoder: nn.Module = transformers.UMT5EncoderModel(shape).encoder.eval()

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Ids [B, T] -> embeddings [B, T, dim]; keys where `mask` [B, T] is 0 are not seen."""
        return cast("Tensor", self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state)


def network_name(name: str) -> str:
    """What `Umt5Network` calls a tensor of an official file or of the diffusers layout; unknown names stay."""
    if name in _TOP:
        return _TOP[name]
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)\.weight", name)
    if found is None or found[2] not in _IN_BLOCK:
        return name
    return f"encoder.block.{found[1]}.{_IN_BLOCK[found[2]]}.weight"


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise UnsupportedError(
            f"The UMT5 text encoder needs the package transformers, which cannot be imported ({error}). "
            "Try: pip install 'inferix-wan[text]'."
        ) from error
