"""What a model asks of a text encoder."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class TextEncoder(Protocol):
    """Turns a prompt into embeddings for the transformer."""

    def encode(self, prompt: str) -> Tensor:
        """Embeddings [T, text_dim] of the prompt's tokens, without padding; T may be 0 for an empty prompt.

        The tensor may be shared between calls: leave it unchanged.
        """
