"""The shape of a T5 encoder, and what users may set of text; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferix_core.specs import ComponentConfig
from pydantic import Field


@dataclass(frozen=True, kw_only=True)
class T5Config:
    """Dimensions of a T5 v1.1 encoder; the defaults are those of `t5-v1_1-xxl`."""

    vocab_size: int = 32128
    """Rows of the token table, some of them unused by the tokenizer."""
    dim: int = 4096
    """Width of a token and of the embeddings."""
    head_dim: int = 64
    """Width of one attention head."""
    ffn_dim: int = 10240
    """Width inside the feed-forward layers."""
    num_heads: int = 64
    """Attention heads."""
    num_layers: int = 24
    """Encoder blocks; the first has the table of relative positions for all."""
    num_buckets: int = 32
    """Relative positions told apart, half of them ahead of a token and half behind it."""
    max_distance: int = 128
    """Relative positions from here on share a bucket."""
    eps: float = 1e-6
    """Added to the mean square in every normalisation."""


SpecialToken = Literal["static-start", "moving-start", "borders", "high-quality", "3d-model", "2d-anime"]
"""What the model was told of the videos that it learned from, besides their captions."""


class MagiTextConfig(ComponentConfig):
    """The T5 text encoder, and the learned tokens beside a caption. T5 takes 19 GB in float32, wherever it is."""

    checkpoint: str | None = Field(
        default=None,
        description="The folder t5-v1_1-xxl, or one of its files of weights; left out, it is looked for in "
        "model.checkpoint.",
    )
    tokenizer: str | None = Field(
        default=None, description="The folder with tokenizer.json or spiece.model; left out, that of the checkpoint."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="The precision that T5 runs in: float32 as in the original, or bfloat16 in half the room.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the weights are: cpu or cuda for ever, or auto, in the host's memory and copied to the "
        "model's device for as long as a prompt is encoded.",
    )
    num_cached_prompts: int = Field(
        default=32, ge=0, description="Prompts whose embeddings are kept, at most 13 MB each; the least used go first."
    )
    special_tokens: str | None = Field(
        default=None, description="special_tokens.npz, which is in example/assets of the repository SandAI-org/MAGI-1."
    )
    tokens: tuple[SpecialToken, ...] = Field(
        default=("high-quality",), description="Learned tokens before every caption; they need special_tokens."
    )
    duration: bool = Field(
        default=True,
        description="Whether a learned token says how many blocks the world has left, at most 8; it needs "
        "special_tokens.",
    )
    negative_tokens: bool = Field(
        default=False,
        description="Whether learned tokens for logos, captions, borders and transitions stand before the empty "
        "caption that guidance leads away from; they need special_tokens.",
    )
