"""The transformers that the authors released; base and distilled ones are alike. Free of torch."""

from __future__ import annotations

from inferix_magi.transformer.config import TransformerConfig

MAGI_4_5B = TransformerConfig()

MAGI_24B = TransformerConfig(
    dim=6144,
    ffn_dim=16384,
    num_heads=48,
    num_layers=48,
    gated_ffn=True,
    doubles_channels=True,
    latent_scale=0.1,
    condition_dim=1536,
    text_hidden_dim=6144,
)
