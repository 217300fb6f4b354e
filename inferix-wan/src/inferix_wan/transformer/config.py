"""The shape of a Wan transformer; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Dimensions of a Wan 2.1 transformer, causal or not; the defaults are those of the 1.3B text-to-video model.

    Raises `ValueError` if the fields do not fit each other.
    """

    dim: int = 1536
    """Width of a token."""
    ffn_dim: int = 8960
    """Width inside the feed-forward layers."""
    num_heads: int = 12
    """Attention heads."""
    num_layers: int = 30
    """Transformer blocks."""
    freq_dim: int = 256
    """Width of the sinusoid that encodes the time."""
    text_dim: int = 4096
    """Width of the text encoder's output."""
    text_len: int = 512
    """Text tokens attended to; shorter prompts are padded with zeros, and the padding is attended to as well."""
    in_channels: int = 16
    """Channels that are patched: those of a latent, and behind them those that an image condition lays beside it."""
    out_channels: int = 16
    """Channels of a latent and of the prediction."""
    image_dim: int | None = None
    """Width of the image encoder's tokens; None for a model that takes text alone."""
    patch_size: tuple[int, int, int] = (1, 2, 2)
    """Latents, rows and columns of latent positions that make one token."""
    eps: float = 1e-6
    """Added to the variance in every normalisation."""
    condition_parts: tuple[str, ...] = ("text",)
    """The named parts of the conditions that cross-attention reads, in this order."""
    residual_precision: Literal["weights", "float32"] = "weights"
    """In which precision times, modulation, residual sums and the head are computed: that of the weights, as in Self
    Forcing and CausVid, or float32 around matrices of the weights' precision, as in Wan 2.1 itself."""
    rotary_precision: Literal["auto", "float64", "float32"] = "auto"
    """In which precision queries and keys are rotated; "auto" is float64 for float32 weights, else float32."""

    def __post_init__(self) -> None:
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise ValueError(
                f"dim {self.dim} cannot be split into {self.num_heads} heads of an even width: "
                "choose a dim that is a multiple of twice the number of heads."
            )
        if self.freq_dim % 2:
            raise ValueError(f"freq_dim is {self.freq_dim}, but half of it are cosines and half sines: make it even.")
        if self.patch_size[0] != 1:
            raise ValueError(
                f"patch_size is {self.patch_size}, but a causal model steps latent by latent: the first must be 1."
            )
        if self.in_channels < self.out_channels:
            raise ValueError(
                f"in_channels is {self.in_channels}, but a latent of {self.out_channels} channels is patched: "
                f"make it {self.out_channels}, or more where an image condition is laid beside the latent."
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads
