"""The models of the family, built from their configuration: a checkpoint's weights, or random ones."""

from __future__ import annotations

import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.text.base import TextEncoder
from inferix_core.weights import assign_weights

from inferix_wan.config import ImageToVideoConfig, WanModelConfig, checkpoint_path
from inferix_wan.encoders import image_encoder_of, text_encoder_of
from inferix_wan.geometry import wan_geometry
from inferix_wan.image.clip_encoder import ClipImageEncoder
from inferix_wan.image_model import WanImageModel
from inferix_wan.initialisation import random_weights
from inferix_wan.model import WanModel
from inferix_wan.transformer.transformer import WanTransformer
from inferix_wan.weights import check_weights, load_weights


def text_model(
    config: WanModelConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None = None,
    text_encoder: TextEncoder | None = None,
) -> WanModel:
    """A model that takes text; a `text_encoder` of one's own takes the place of the configured one.

    Raises `ConfigError` for sizes or weights that cannot be used and files that are not given, and `CheckpointError`
    for those that do not fit; both before the transformer's weights are read.
    """
    geometry = wan_geometry(config.dimensions, height=config.height, width=config.width, fps=config.fps)
    transformer = _checked_transformer(config)
    text_encoder = text_encoder or text_encoder_of(config, device=device, dtype=dtype)
    _fill(transformer, config, device=device, dtype=dtype, quantizer=quantizer)
    return WanModel(transformer, text_encoder=text_encoder, geometry=geometry, negative_prompt=config.negative_prompt)


def image_model(
    config: ImageToVideoConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None = None,
    text_encoder: TextEncoder | None = None,
    image_encoder: ClipImageEncoder | None = None,
) -> WanImageModel:
    """A model that takes a picture and text; see `text_model`."""
    geometry = wan_geometry(config.dimensions, height=config.height, width=config.width, fps=config.fps)
    transformer = _checked_transformer(config)
    image_encoder = image_encoder or image_encoder_of(config, device=device, dtype=dtype)
    text_encoder = text_encoder or text_encoder_of(config, device=device, dtype=dtype)
    _fill(transformer, config, device=device, dtype=dtype, quantizer=quantizer)
    return WanImageModel(
        transformer,
        text_encoder=text_encoder,
        image_encoder=image_encoder,
        geometry=geometry,
        negative_prompt=config.negative_prompt,
        max_latents=config.max_latents,
    )


def _checked_transformer(config: WanModelConfig) -> WanTransformer:
    """The transformer on the meta device, which the configured checkpoint is known to fit."""
    with torch.device("meta"):
        transformer = WanTransformer(config.dimensions)
    checkpoint = checkpoint_path(config, section="model")
    if checkpoint is not None:
        check_weights(transformer, checkpoint, state_dict=config.state_dict)
    return transformer


def _fill(
    transformer: WanTransformer,
    config: WanModelConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None,
) -> None:
    """Puts the weights in place, one by one, and lays them out as the configuration says."""
    if config.weights == "random":
        arriving = random_weights(transformer, seed=config.weights_seed, device=device, dtype=dtype)
        assign_weights(transformer, arriving, quantizer=quantizer)
    else:
        checkpoint = checkpoint_path(config, section="model")
        assert checkpoint is not None, "checked before"
        load_weights(
            transformer, checkpoint, device=device, dtype=dtype, quantizer=quantizer, state_dict=config.state_dict
        )
    if config.fused_qkv:
        transformer.fuse_qkv()
    if config.compile:
        transformer.compile_layers()
