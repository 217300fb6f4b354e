"""The encoders of a model's text and pictures: from its configured files, or random ones beside random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from inferix_core.errors import ConfigError
from inferix_core.text.base import TextEncoder
from inferix_core.text.random_encoder import RandomTextEncoder

from inferix_wan.checkpoints.family import PLACES
from inferix_wan.config import ImageToVideoConfig, WanModelConfig
from inferix_wan.image.clip import ClipNetwork
from inferix_wan.image.clip_encoder import ClipImageEncoder, load_image_encoder
from inferix_wan.initialisation import initialise
from inferix_wan.sizes import IMAGE_ENCODERS, TEXT_ENCODERS
from inferix_wan.text.config import TextEncoderConfig

_TOKENIZERS = ("google/umt5-xxl", "tokenizer")


def text_encoder_of(config: WanModelConfig, *, device: torch.device, dtype: torch.dtype) -> TextEncoder:
    """The text encoder: a random one for random weights without files for it, else UMT5.

    Its files are those of `model.text`, or are found in the folder `model.checkpoint`. Raises `ConfigError` if there
    are none, and otherwise as `load_text_encoder`.
    """
    files = _text_files(config)
    if files is None and config.weights == "random":
        dimensions = config.dimensions
        return RandomTextEncoder(text_dim=dimensions.text_dim, text_len=dimensions.text_len, device=device, dtype=dtype)
    if files is None:
        raise ConfigError(
            f"model: '{config.checkpoint}' needs the UMT5 text encoder, of which no file is given. Set "
            "model.text.checkpoint to models_t5_umt5-xxl-enc-bf16.pth of a Wan 2.1 download, or model.checkpoint to a "
            f"folder that holds it too. {_WHERE}"
        )
    from inferix_wan.text.umt5_encoder import load_text_encoder  # random weights do without

    return load_text_encoder(
        files,
        device=device,
        dtype=dtype,
        shape=TEXT_ENCODERS[config.size],
        max_tokens=config.dimensions.text_len,
    )


def image_encoder_of(config: ImageToVideoConfig, *, device: torch.device, dtype: torch.dtype) -> ClipImageEncoder:
    """The image encoder: a random one for random weights without a file for it, else CLIP.

    Raises `ConfigError` if there is no file of it, and otherwise as `load_image_encoder`.
    """
    shape = IMAGE_ENCODERS[config.size]
    checkpoint = config.image_checkpoint or _folder_with("image_encoder", config.checkpoint)
    if checkpoint is not None:
        return load_image_encoder(checkpoint, device=device, dtype=dtype, shape=shape)
    if config.weights == "random":
        network = ClipNetwork(shape).requires_grad_(False).eval()
        initialise(network, seed=config.weights_seed)
        return ClipImageEncoder(network.to(device=device, dtype=dtype))
    raise ConfigError(
        f"model: '{config.checkpoint}' needs the CLIP image encoder, of which no file is given. Set "
        "model.image_checkpoint to models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth of a Wan 2.1 download, or "
        f"model.checkpoint to a folder that holds it too. {_WHERE}"
    )


def _text_files(config: WanModelConfig) -> TextEncoderConfig | None:
    """The configured files, completed by what a folder holds; None if there are none."""
    checkpoint = config.text.checkpoint or _folder_with("text_encoder", config.checkpoint)
    if checkpoint is None:
        return None
    tokenizer = config.text.tokenizer or _tokenizer_in(checkpoint) or _tokenizer_in(config.checkpoint)
    return config.text.model_copy(update={"checkpoint": checkpoint, "tokenizer": tokenizer})


def _folder_with(part: str, checkpoint: str | None) -> str | None:
    """The checkpoint, if it is a folder that holds the part under its official name."""
    if checkpoint is None or not Path(checkpoint).is_dir():
        return None
    return checkpoint if any(found for place in PLACES[part] for found in Path(checkpoint).glob(place)) else None


def _tokenizer_in(folder: str | None) -> str | None:
    if folder is None:
        return None
    found = (Path(folder) / name for name in _TOKENIZERS)
    return next((str(path) for path in found if path.is_dir()), None)


_WHERE = "`inferix weights check FOLDER` says what a folder holds and where official files come from."
