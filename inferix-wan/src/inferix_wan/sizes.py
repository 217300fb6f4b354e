"""The dimensions that the networks come in, for each family of models; free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from inferix_wan.image.config import ClipConfig
from inferix_wan.text.config import Umt5Config
from inferix_wan.transformer.config import TransformerConfig
from inferix_wan.transformer.official import SELF_FORCING, WAN21_I2V_14B, WAN21_T2V_1_3B, WAN21_T2V_14B

Size = Literal["1.3B", "14B", "mid", "tiny-random"]
CausalSize = Literal["1.3B", "mid", "tiny-random"]
TextToVideoSize = Literal["1.3B", "14B", "tiny-random"]
ImageToVideoSize = Literal["14B", "tiny-random"]

_TINY = TransformerConfig(dim=48, ffn_dim=96, num_heads=2, num_layers=2, freq_dim=32, text_dim=16, text_len=8)
_TINY_CLIP = ClipConfig(image_size=28, dim=16, mlp_ratio=2, num_heads=2, num_layers=3)

TRANSFORMERS: Mapping[CausalSize, TransformerConfig] = {
    "1.3B": SELF_FORCING,
    "mid": TransformerConfig(dim=512, ffn_dim=2048, num_heads=8, num_layers=8, text_dim=256, text_len=64),
    "tiny-random": _TINY,
}
"""Causal models. `mid` and `tiny-random` are for benches and smoke tests with random weights."""

TEXT_TO_VIDEO: Mapping[TextToVideoSize, TransformerConfig] = {
    "1.3B": WAN21_T2V_1_3B,
    "14B": WAN21_T2V_14B,
    "tiny-random": replace(_TINY, residual_precision="float32"),
}
"""The bidirectional base, from text."""

IMAGE_TO_VIDEO: Mapping[ImageToVideoSize, TransformerConfig] = {
    "14B": WAN21_I2V_14B,
    "tiny-random": replace(_TINY, in_channels=36, image_dim=_TINY_CLIP.dim, residual_precision="float32"),
}
"""The bidirectional base, from a picture."""

IMAGE_ENCODERS: Mapping[ImageToVideoSize, ClipConfig] = {"14B": ClipConfig(), "tiny-random": _TINY_CLIP}
"""The image encoders that belong to these."""

TEXT_ENCODERS: Mapping[Size, Umt5Config] = {
    "1.3B": Umt5Config(),
    "14B": Umt5Config(),
    "mid": Umt5Config(dim=256, attention_dim=256, ffn_dim=512, num_heads=4, num_layers=4),
    "tiny-random": Umt5Config(
        vocab_size=64, dim=_TINY.text_dim, attention_dim=_TINY.text_dim, ffn_dim=32, num_heads=2, num_layers=2
    ),
}
"""The text encoders that read the prompts of each size, where files of one are given."""
