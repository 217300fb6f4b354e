"""The text encoder of trained models: UMT5 with Wan's cleaning and tokenizer."""

from __future__ import annotations

from pathlib import Path

import torch
from inferix_core.errors import ConfigError
from inferix_core.text.encoder import PromptEncoder
from inferix_core.text.places import text_places

from inferix_wan.text.cleaning import clean_prompt
from inferix_wan.text.config import TextEncoderConfig, Umt5Config
from inferix_wan.text.tokenizer import Umt5Tokenizer
from inferix_wan.text.umt5 import Umt5Network, network_name
from inferix_wan.weights import load_weights

_TOKENIZER_FOLDERS = ("google/umt5-xxl", "tokenizer")


class Umt5TextEncoder(PromptEncoder):
    """Encodes prompts, and negative prompts like any other: see the core's `PromptEncoder`.

    Raises `CheckpointError` for a tokenizer with ids that the network does not know.
    """

    def __init__(
        self,
        network: Umt5Network,
        tokenizer: Umt5Tokenizer,
        *,
        device: torch.device,
        dtype: torch.dtype,
        compute_device: torch.device | None = None,
        num_cached_prompts: int = 32,
    ) -> None:
        super().__init__(
            network,
            tokenizer,
            vocab_size=network.config.vocab_size,
            clean=clean_prompt,
            device=device,
            dtype=dtype,
            compute_device=compute_device,
            num_cached_prompts=num_cached_prompts,
        )


def load_text_encoder(
    config: TextEncoderConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    weights_dtype: torch.dtype = torch.bfloat16,
    shape: Umt5Config | None = None,
    max_tokens: int = 512,
) -> Umt5TextEncoder:
    """The encoder of a checkpoint, whose embeddings go to a model on `device` in `dtype`.

    One copy of the weights is made, in `weights_dtype`, where `config.device` has them rest.

    Raises `ConfigError` for a checkpoint, a tokenizer or a device that is not there, `CheckpointError` for files that
    do not fit, `UnsupportedError` if transformers or tokenizers is not installed.
    """
    if config.checkpoint is None:
        raise ConfigError(
            "model.text: no checkpoint is given. "
            "Set model.text.checkpoint to models_t5_umt5-xxl-enc-bf16.pth of a Wan 2.1 download."
        )
    tokenizer = Umt5Tokenizer(_tokenizer_folder(config), max_tokens=max_tokens)
    resting, computing = text_places(config.device, device=device, section="model.text")
    with torch.device("meta"):
        network = Umt5Network(shape or Umt5Config())
    load_weights(network, config.checkpoint, device=resting, dtype=weights_dtype, rename=network_name)
    return Umt5TextEncoder(
        network,
        tokenizer,
        device=device,
        dtype=dtype,
        compute_device=computing,
        num_cached_prompts=config.num_cached_prompts,
    )


def _tokenizer_folder(config: TextEncoderConfig) -> Path:
    if config.tokenizer is not None:
        return Path(config.tokenizer)
    beside = Path(config.checkpoint or "").parent
    for name in _TOKENIZER_FOLDERS:
        if (beside / name).is_dir():
            return beside / name
    raise ConfigError(
        f"model.text: no tokenizer is given, and '{beside}' has no folder {' or '.join(_TOKENIZER_FOLDERS)}. "
        "Set model.text.tokenizer to the folder google/umt5-xxl of a Wan 2.1 download."
    )
