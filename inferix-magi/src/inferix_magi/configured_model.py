"""The model, built from its configuration: a checkpoint's weights, or random ones."""

from __future__ import annotations

import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import ConfigError
from inferix_core.text.base import TextEncoder
from inferix_core.weights import assign_weights

from inferix_magi.checkpoints.loading import check_transformer, load_transformer
from inferix_magi.config import MagiModelConfig
from inferix_magi.encoders import special_tokens_of, text_encoder_of
from inferix_magi.geometry import magi_geometry
from inferix_magi.model import MagiModel
from inferix_magi.transformer.initialisation import random_transformer_weights
from inferix_magi.transformer.transformer import MagiTransformer


def magi_model(
    config: MagiModelConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None = None,
    text_encoder: TextEncoder | None = None,
) -> MagiModel:
    """The model; a `text_encoder` of one's own takes the place of the configured one.

    Raises `ConfigError` for sizes or weights that cannot be used and files that are not given, and `CheckpointError`
    for those that do not fit; both before the transformer's weights are read.
    """
    geometry = magi_geometry(config.dimensions, height=config.height, width=config.width, fps=config.fps)
    checkpoint = _checkpoint(config)
    with torch.device("meta"):
        transformer = MagiTransformer(config.dimensions)
    if checkpoint is not None:
        check_transformer(transformer, checkpoint, size=config.size, is_distilled=config.distilled, quantizer=quantizer)
    special_tokens = special_tokens_of(config)
    text_encoder = text_encoder or text_encoder_of(config, device=device)
    if checkpoint is None:
        arriving = random_transformer_weights(transformer, seed=config.weights_seed, device=device, dtype=dtype)
        assign_weights(transformer, arriving, quantizer=quantizer)
    else:
        load_transformer(
            transformer,
            checkpoint,
            size=config.size,
            is_distilled=config.distilled,
            device=device,
            dtype=dtype,
            quantizer=quantizer,
        )
    return MagiModel(
        transformer,
        text_encoder=text_encoder,
        geometry=geometry,
        special_tokens=special_tokens,
        distilled=config.distilled,
    )


def _checkpoint(config: MagiModelConfig) -> str | None:
    """The checkpoint to load, None for random weights. Raises `ConfigError` if neither or both were asked for."""
    if config.weights == "random" and config.checkpoint is not None:
        raise ConfigError(
            f"model: the checkpoint '{config.checkpoint}' was given together with random weights: leave one of "
            "checkpoint and weights out."
        )
    if config.weights == "checkpoint" and config.checkpoint is None:
        raise ConfigError(
            'model: no checkpoint is given. Set model.checkpoint to a file or folder, or model.weights to "random" '
            "for a bench. `inferix weights check FOLDER` says what a folder holds and where official files come from."
        )
    return config.checkpoint
