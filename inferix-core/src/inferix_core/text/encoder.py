"""The text encoder of trained models: cleaning, tokenizer, network, and a cache over them.

Letters: T text tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from inferix_core.errors import CheckpointError
from inferix_core.text.base import Tokenizer
from inferix_core.text.cache import EmbeddingCache


class PromptEncoder:
    """Encodes prompts, and negative prompts like any other. Implements `TextEncoder`.

    `network` takes ids [1, T] to embeddings [1, T, dim], and knows `vocab_size` of them; `clean` is what is done to a
    prompt before it is cut into tokens. Embeddings have `dtype` and are on `device`. The network computes on
    `compute_device` in the dtype of its weights; where these are on another device, they are copied there for each
    prompt that is not cached, and let go.

    Raises `CheckpointError` for a tokenizer with ids that the network does not know.
    """

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Tokenizer,
        *,
        vocab_size: int,
        clean: Callable[[str], str],
        device: torch.device,
        dtype: torch.dtype,
        compute_device: torch.device | None = None,
        num_cached_prompts: int = 32,
    ) -> None:
        if tokenizer.vocab_size > vocab_size:
            raise CheckpointError(
                f"The tokenizer has {tokenizer.vocab_size} tokens, but the text encoder knows {vocab_size}: use the "
                "tokenizer and the weights of one release."
            )
        self.cache = EmbeddingCache(num_cached_prompts)
        self._network = network
        self._tokenizer = tokenizer
        self._clean = clean
        self._device = device
        self._dtype = dtype
        self._compute_device = compute_device or next(network.parameters()).device

    def encode(self, prompt: str) -> Tensor:
        """See `TextEncoder.encode`. A prompt over the tokenizer's limit is cut, with a warning that quotes the rest."""
        text = self._clean(prompt)
        return self.cache.get(text, lambda: self._embed(text))

    @torch.no_grad()
    def _embed(self, text: str) -> Tensor:
        ids = torch.tensor([self._tokenizer.tokenize(text)], device=self._compute_device)  # [1, T]
        # `to` gives the parameter itself where it is there already.
        weights = {name: value.to(self._compute_device) for name, value in self._network.named_parameters()}
        embeddings: Tensor = functional_call(self._network, weights, (ids,))
        return embeddings[0].to(self._device, self._dtype)
