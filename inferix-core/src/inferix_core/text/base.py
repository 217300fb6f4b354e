"""What a model asks of a text encoder, and a text encoder of a tokenizer."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class TextEncoder(Protocol):
    """Turns a prompt into embeddings for the transformer."""

    def encode(self, prompt: str) -> Tensor:
        """Embeddings [T, text_dim] of the prompt's tokens, without padding; T may be 0 for an empty prompt.

        The tensor may be shared between calls: leave it unchanged.
        """


class Tokenizer(Protocol):
    """Turns text into the numbers that a network knows."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""

    def tokenize(self, text: str) -> list[int]:
        """The ids of a cleaned prompt, with a token for its end. A prompt that is too long is cut, with a warning."""
