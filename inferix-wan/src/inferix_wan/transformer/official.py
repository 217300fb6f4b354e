"""The released transformers of the family; free of torch."""

from __future__ import annotations

from inferix_wan.transformer.config import TransformerConfig

SELF_FORCING = TransformerConfig()
"""The generators of Self Forcing and CausVid: the 1.3B text-to-video model, all of it in the weights' precision."""

WAN21_T2V_1_3B = TransformerConfig(residual_precision="float32")
"""Wan 2.1, text to video, 1.3 billion weights."""

WAN21_T2V_14B = TransformerConfig(dim=5120, ffn_dim=13824, num_heads=40, num_layers=40, residual_precision="float32")
"""Wan 2.1, text to video, 14 billion weights."""

WAN21_I2V_14B = TransformerConfig(
    dim=5120,
    ffn_dim=13824,
    num_heads=40,
    num_layers=40,
    in_channels=36,
    image_dim=1280,
    residual_precision="float32",
)
"""Wan 2.1, image to video, 16 billion weights, for 480p and 720p."""
