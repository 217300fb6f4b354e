"""The T5 v1.1 encoder network: that of transformers.

Letters: B prompts, T tokens.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

from inferix_core.errors import UnsupportedError
from torch import Tensor, nn

from inferix_magi.text.config import T5Config


class T5Network(nn.Module):
    """Token ids to embeddings. All its state is in its state dict, so that it may be built on the meta device.

    Raises `UnsupportedError` if the package transformers is not installed.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        transformers = _transformers()
        shape = transformers.T5Config(
            vocab_size=config.vocab_size,
            d_model=config.dim,
            d_kv=config.head_dim,
            d_ff=config.ffn_dim,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            relative_attention_num_buckets=config.num_buckets,
            relative_attention_max_distance=config.max_distance,
            layer_norm_epsilon=config.eps,
            feed_forward_proj="gated-gelu",
            # The original's order of roundings, also in bfloat16: a fused kernel keeps scores in float32.
            attn_implementation="eager",
        )
        self.config = config
        self.encoder: nn.Module = transformers.T5EncoderModel(shape).encoder.eval()

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Ids [B, T] -> embeddings [B, T, dim]; keys where `mask` [B, T] is 0 are not seen."""
        return cast("Tensor", self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state)


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise UnsupportedError(
            f"The T5 text encoder needs the package transformers, which cannot be imported ({error}). "
            "Try: pip install 'inferix-magi[text]'."
        ) from error
