"""The word-level text encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inferix_tinyworld.meanings import prompt_rows


class WordEncoder:
    """Looks up what a prompt says. Implements inferix-wan's `TextEncoder`; words it does not know are passed over."""

    def __init__(self, words: nn.Embedding) -> None:
        self._words = words

    def encode(self, prompt: str) -> Tensor:
        """Embeddings [T, text_dim] with T at most one for each field of a scene, 0 for an empty prompt."""
        rows = torch.tensor(prompt_rows(prompt), dtype=torch.long, device=self._words.weight.device)
        return self._words.weight[rows]
