"""The shape of a UMT5 encoder, and what users may set for the text encoder; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferix_core.specs import ComponentConfig
from pydantic import Field


@dataclass(frozen=True, kw_only=True)
class Umt5Config:
    """Dimensions of a UMT5 encoder; the defaults are those of `models_t5_umt5-xxl-enc-bf16.pth`.

    Raises `ValueError` if the heads do not divide `attention_dim`.
    """

    vocab_size: int = 256384
    """Rows of the token table, some of them unused by the tokenizer."""
    dim: int = 4096
    """Width of a token and of the embeddings."""
    attention_dim: int = 4096
    """Width of all heads together."""
    ffn_dim: int = 10240
    """Width inside the feed-forward layers."""
    num_heads: int = 64
    """Attention heads."""
    num_layers: int = 24
    """Encoder blocks, each with a table of relative positions of its own."""
    num_buckets: int = 32
    """Relative positions told apart, half of them ahead of a token and half behind it."""
    eps: float = 1e-6
    """Added to the mean square in every normalisation."""

    def __post_init__(self) -> None:
        if self.attention_dim % self.num_heads:
            raise ValueError(
                f"attention_dim {self.attention_dim} cannot be split into {self.num_heads} heads: "
                "choose a multiple of the number of heads."
            )


class TextEncoderConfig(ComponentConfig):
    """The UMT5 text encoder; its XXL weights take 11 GB in bfloat16, wherever they are."""

    checkpoint: str | None = Field(
        default=None,
        description="models_t5_umt5-xxl-enc-bf16.pth, the same tensors in another container, "
        "or the folder text_encoder of the diffusers layout.",
    )
    tokenizer: str | None = Field(
        default=None,
        description="The folder with tokenizer.json; left out, google/umt5-xxl or tokenizer beside the checkpoint.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the 11 GB of weights are: cpu or cuda for ever, or auto, in the host's memory and copied "
        "to the model's device for as long as a prompt is encoded.",
    )
    num_cached_prompts: int = Field(
        default=32, ge=0, description="Prompts whose embeddings are kept, at most 4 MB each; the least used go first."
    )
