"""The text encoder of a model and the learned rows before its captions: from configured files, or random ones."""

from __future__ import annotations

import torch
from inferix_core.text.base import TextEncoder
from inferix_core.text.random_encoder import RandomTextEncoder

from inferix_magi.captions import SpecialTokens
from inferix_magi.config import MagiModelConfig
from inferix_magi.text.building import has_text_encoder, load_text_encoder
from inferix_magi.text.special_tokens import load_special_tokens


def text_encoder_of(config: MagiModelConfig, *, device: torch.device) -> TextEncoder:
    """The text encoder, whose embeddings are float32: a random one for random weights without files for it, else T5.

    Raises as `load_text_encoder`.
    """
    dimensions = config.dimensions
    if config.weights == "random" and not has_text_encoder(config.text, beside=config.checkpoint):
        return RandomTextEncoder(
            text_dim=dimensions.text_dim, text_len=dimensions.text_len, device=device, dtype=torch.float32
        )
    return load_text_encoder(
        config.text,
        beside=config.checkpoint,
        device=device,
        dtype=torch.float32,
        text_dim=dimensions.text_dim,
        max_tokens=dimensions.text_len,
    )


def special_tokens_of(config: MagiModelConfig) -> SpecialTokens | None:
    """The learned rows before captions; none beside random weights without a file of them.

    Raises as `load_special_tokens`.
    """
    if config.weights == "random" and config.text.special_tokens is None:
        return None
    return load_special_tokens(config.text)
