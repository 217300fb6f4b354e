"""The text encoder of trained models: cleaning, tokenizer, UMT5, and a cache over them.

Letters: T text tokens.
"""

from __future__ import annotations

from pathlib import Path

import torch
from inferix_core.errors import CheckpointError, ConfigError
from torch import Tensor
from torch.func import functional_call

from inferix_wan.text.cache import EmbeddingCache
from inferix_wan.text.cleaning import clean_prompt
from inferix_wan.text.config import TextEncoderConfig, Umt5Config
from inferix_wan.text.tokenizer import Umt5Tokenizer
from inferix_wan.text.umt5 import Umt5Network, network_name
from inferix_wan.weights import load_weights

_TOKENIZER_FOLDERS = ("google/umt5-xxl", "tokenizer")


class Umt5TextEncoder:
    """Encodes prompts, and negative prompts like any other. Implements `TextEncoder`.

    Embeddings have `dtype` and are on `device`. The network computes on `compute_device` in the dtype of its weights;
    where these are on another device, they are copied there for each prompt that is not cached, and let go.

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
        if tokenizer.vocab_size > network.config.vocab_size:
            raise CheckpointError(
                f"The tokenizer has {tokenizer.vocab_size} tokens, but the text encoder knows "
                f"{network.config.vocab_size}: use the tokenizer and the weights of one release."
            )
        self.cache = EmbeddingCache(num_cached_prompts)
        self._network = network
        self._tokenizer = tokenizer
        self._device = device
        self._dtype = dtype
        self._compute_device = compute_device or next(network.parameters()).device

    def encode(self, prompt: str) -> Tensor:
        """See `TextEncoder.encode`. A prompt over the tokenizer's limit is cut, with a warning that quotes the rest."""
        text = clean_prompt(prompt)
        return self.cache.get(text, lambda: self._embed(text))

    @torch.no_grad()
    def _embed(self, text: str) -> Tensor:
        ids = torch.tensor([self._tokenizer.tokenize(text)], device=self._compute_device)  # [1, T]
        # `to` gives the parameter itself where it is there already.
        weights = {name: value.to(self._compute_device) for name, value in self._network.named_parameters()}
        embeddings: Tensor = functional_call(self._network, weights, (ids,))
        return embeddings[0].to(self._device, self._dtype)


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
    resting, computing = _places(config, device=device)
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


def _places(config: TextEncoderConfig, *, device: torch.device) -> tuple[torch.device, torch.device]:
    """Where the weights rest and where they compute."""
    cpu = torch.device("cpu")
    if config.device == "auto":
        return cpu, device
    if config.device == "cpu":
        return cpu, cpu
    if not torch.cuda.is_available():
        raise ConfigError('model.text: device is "cuda", but this machine has no CUDA device: use "auto" or "cpu".')
    place = device if device.type == "cuda" else torch.device("cuda")
    return place, place
