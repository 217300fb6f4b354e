"""What a model of the family is without its weights; free of torch."""

from __future__ import annotations

from math import prod

from inferix_core.contracts.workload import Outline
from inferix_core.plan import Geometry

from inferix_wan.config import WanModelConfig
from inferix_wan.geometry import wan_geometry, wan_layout
from inferix_wan.transformer.config import TransformerConfig


def outline(config: WanModelConfig) -> Outline:
    """The configured model. Raises `ConfigError` for a size that cannot be."""
    geometry = wan_geometry(config.dimensions, height=config.height, width=config.width, fps=config.fps)
    return outline_of(config.dimensions, geometry)


def outline_of(config: TransformerConfig, geometry: Geometry) -> Outline:
    """A transformer of this shape. Matrices are counted; of conditions the text, whose length is fixed."""
    attention, feed_forward = config.dim**2, 2 * config.dim * config.ffn_dim
    in_layer = 6 * attention + feed_forward  # q, k, v, o of tokens; q, o of those that attend to conditions
    stored_in_layer = in_layer + (4 if config.image_dim is not None else 2) * attention  # k, v of conditions
    return Outline(
        geometry=geometry,
        layout=wan_layout(config, geometry),
        num_heads=config.num_heads,
        width=config.dim,
        num_layer_weights=in_layer,
        num_weights=stored_in_layer * config.num_layers + _num_weights_around(config),
        num_condition_tokens=config.text_len,
    )


def _num_weights_around(config: TransformerConfig) -> int:
    """Of the embeddings of patches, times, texts and pictures, and of the head."""
    patches = prod(config.patch_size) * (config.in_channels + config.out_channels)
    image = 0 if config.image_dim is None else config.image_dim * (config.image_dim + config.dim)
    return (patches + config.freq_dim + config.text_dim + 8 * config.dim) * config.dim + image
