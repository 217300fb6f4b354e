"""The dimensions that the networks come in; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from inferix_wan.config import Size
from inferix_wan.transformer.config import TransformerConfig

TRANSFORMERS: Mapping[Size, TransformerConfig] = {
    "1.3B": TransformerConfig(),
    "mid": TransformerConfig(dim=512, ffn_dim=2048, num_heads=8, num_layers=8, text_dim=256, text_len=64),
    "tiny-random": TransformerConfig(
        dim=48, ffn_dim=96, num_heads=2, num_layers=2, freq_dim=32, text_dim=16, text_len=8
    ),
}
"""Size to dimensions: Wan 2.1's own, and two for benches and smoke tests with random weights."""
