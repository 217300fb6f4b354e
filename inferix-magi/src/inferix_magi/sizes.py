"""The dimensions that the transformer comes in; free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from inferix_magi.transformer.config import TransformerConfig
from inferix_magi.transformer.official import MAGI_4_5B, MAGI_24B

Size = Literal["4.5B", "24B", "4.5B-layer", "24B-layer", "mid", "tiny-random"]

TRANSFORMERS: Mapping[Size, TransformerConfig] = {
    "4.5B": MAGI_4_5B,
    "24B": MAGI_24B,
    "4.5B-layer": replace(MAGI_4_5B, num_layers=1),
    "24B-layer": replace(MAGI_24B, num_layers=1),
    "mid": TransformerConfig(
        dim=512,
        ffn_dim=2048,
        num_heads=8,
        num_kv_heads=4,
        head_dim=64,
        num_layers=6,
        condition_dim=128,
        text_dim=256,
        text_len=64,
        text_hidden_dim=512,
    ),
    "tiny-random": TransformerConfig(
        dim=64,
        ffn_dim=96,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        num_layers=3,
        condition_dim=16,
        text_dim=16,
        text_len=16,
        text_hidden_dim=64,
    ),
}
"""The sizes behind the official ones are for benches and smoke tests with random weights; `…-layer` is one layer, of
true width."""
