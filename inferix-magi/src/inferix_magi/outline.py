"""What the model is without its weights; free of torch."""

from __future__ import annotations

from math import prod

from inferix_core.contracts.workload import Outline

from inferix_magi.config import MagiModelConfig
from inferix_magi.geometry import magi_geometry, magi_layout
from inferix_magi.transformer.config import TransformerConfig


def outline(config: MagiModelConfig) -> Outline:
    """The configured model: its matrices are counted, and the longest caption. Raises `ConfigError` for a bad size."""
    shape = config.dimensions
    geometry = magi_geometry(shape, height=config.height, width=config.width, fps=config.fps)
    in_layer = _num_token_weights(shape)
    stored_in_layer = in_layer + _num_other_weights(shape)
    return Outline(
        geometry=geometry,
        layout=magi_layout(shape, geometry),
        num_heads=shape.num_heads,
        width=shape.dim,
        num_layer_weights=in_layer,
        num_weights=stored_in_layer * shape.num_layers + _num_weights_around(shape),
        num_condition_tokens=shape.text_len,
    )


def _num_token_weights(shape: TransformerConfig) -> int:
    """Of a layer, what every token is multiplied with: both queries, keys, values, both results, feed-forward."""
    width, kv_width = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    feed_forward = (3 if shape.gated_ffn else 2) * shape.ffn_dim
    return shape.dim * (4 * width + 2 * kv_width + feed_forward)


def _num_other_weights(shape: TransformerConfig) -> int:
    """Of a layer, what latents are multiplied with (gates) and captions (keys and values)."""
    return 2 * shape.dim * shape.condition_dim + 2 * shape.num_kv_heads * shape.head_dim * shape.text_hidden_dim


def _num_weights_around(shape: TransformerConfig) -> int:
    """Of the embeddings of patches, times and captions, of the empty caption, and of the head."""
    patches = 2 * shape.dim * shape.in_channels * prod(shape.patch_size)
    times = shape.condition_dim * (shape.freq_dim + shape.condition_dim)
    captions = shape.text_dim * (shape.text_len + shape.text_hidden_dim + shape.condition_dim)
    return patches + times + captions
