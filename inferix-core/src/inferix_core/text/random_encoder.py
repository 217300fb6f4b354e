"""A text encoder without weights, for smoke tests."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


class RandomTextEncoder:
    """Random embeddings, the same for the same word on every machine: for smoke tests with random weights.

    They mean nothing to a trained model.
    """

    def __init__(self, *, text_dim: int, text_len: int, device: torch.device, dtype: torch.dtype) -> None:
        self._text_dim = text_dim
        self._text_len = text_len
        self._device = device
        self._dtype = dtype

    def encode(self, prompt: str) -> Tensor:
        """See `TextEncoder.encode`; one token for each word, at most `text_len`."""
        words = prompt.split()[: self._text_len]
        embeddings = torch.empty(len(words), self._text_dim)
        for row, word in enumerate(words):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:7])
            embeddings[row].normal_(generator=torch.Generator().manual_seed(seed))
        return embeddings.to(self._device, self._dtype)
