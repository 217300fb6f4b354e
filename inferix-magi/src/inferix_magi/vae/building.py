"""The VAE from its configuration: a checkpoint's weights, or random ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from inferix_core.errors import CheckpointError, ConfigError
from inferix_core.initialisation import initialise

from inferix_magi.checkpoints.family import PLACES
from inferix_magi.checkpoints.loading import check_part, load_part
from inferix_magi.vae.config import VAES, MagiVaeConfig, VaeConfig, from_official
from inferix_magi.vae.model import MagiVae

_CONFIG_FILE, _SHAPE_KEY = "config.json", "ddconfig"


def configured_shape(config: MagiVaeConfig) -> VaeConfig:
    """The dimensions: those that a config.json beside the weights describes, or the configured ones.

    Raises `ConfigError` for missing weights, and for a network of another kind; `CheckpointError` for a damaged file.
    """
    if config.weights == "random":
        if config.checkpoint is not None:
            raise ConfigError(
                f"decoder: the checkpoint '{config.checkpoint}' was given together with random weights: leave one of "
                "checkpoint and weights out."
            )
        return VAES[config.size]
    if config.checkpoint is None:
        raise ConfigError(
            "decoder: no checkpoint is given. Set decoder.checkpoint to the VAE's folder (ckpt/vae of a MAGI-1 "
            'download), or decoder.weights to "random" for a bench. `inferix weights check FOLDER` says what a folder '
            "holds and where official files come from."
        )
    described = _described(Path(config.checkpoint))
    return VAES[config.size] if described is None else from_official(described)


def check_files(config: MagiVaeConfig) -> None:
    """Raises as `configured_shape`, and `CheckpointError` for weights that do not fit; reads none."""
    shape = configured_shape(config)
    if config.checkpoint is not None:
        check_part(_without_weights(shape), config.checkpoint)


def configured_vae(config: MagiVaeConfig, shape: VaeConfig, *, device: torch.device, dtype: torch.dtype) -> MagiVae:
    """The network with its weights, ready to run without gradients."""
    if config.weights == "random":
        vae = MagiVae(shape).requires_grad_(False).eval()
        initialise(vae, seed=config.weights_seed, tables=("pos_embed",))
        return vae.to(device=device, dtype=dtype)
    assert config.checkpoint is not None, "`configured_shape` has seen to it"
    vae = _without_weights(shape)
    load_part(vae, config.checkpoint, device=device, dtype=dtype)
    return vae


def _without_weights(shape: VaeConfig) -> MagiVae:
    with torch.device("meta"):
        return MagiVae(shape)


def _described(checkpoint: Path) -> dict[str, Any] | None:
    """What the config.json of the VAE says; None if there is none."""
    folders = [checkpoint, *(checkpoint / place for place in PLACES["vae"])] if checkpoint.is_dir() else []
    for folder in folders or [checkpoint.parent]:
        file = folder / _CONFIG_FILE
        if not file.is_file():
            continue
        try:
            described = json.loads(file.read_text(encoding="utf-8")).get(_SHAPE_KEY)
        except (ValueError, AttributeError) as error:
            raise CheckpointError(f"'{file}' is damaged ({error}): copy it again.") from error
        if isinstance(described, dict):
            return described
    return None
