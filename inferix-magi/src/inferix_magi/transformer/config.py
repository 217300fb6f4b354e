"""The shape of a MAGI-1 transformer; free of torch."""

from __future__ import annotations

from dataclasses import dataclass

NUM_INTERLEAVED = 8
"""Into so many parts the results of self- and cross-attention are cut, which then take turns."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Dimensions of a MAGI-1 transformer; the defaults are those of the 4.5B model.

    Raises `ValueError` if the fields do not fit each other.
    """

    dim: int = 3072
    """Width of a token."""
    ffn_dim: int = 12288
    """Width inside the feed-forward layers."""
    num_heads: int = 24
    """Attention heads."""
    num_kv_heads: int = 8
    """Heads of keys and values; consecutive attention heads share one."""
    head_dim: int = 128
    """Width of one attention head."""
    num_layers: int = 34
    """Transformer layers."""
    gated_ffn: bool = False
    """Whether half of the first feed-forward layer gates the other half (SiLU), or there is a GELU."""
    latent_channels: int = 16
    """Channels of a latent and of the prediction."""
    doubles_channels: bool = False
    """Whether latents are laid beside themselves on the channel axis, and half of the prediction is dropped."""
    latent_scale: float = 1.0
    """What latents are multiplied by on their way in, and the prediction is divided by."""
    patch_size: tuple[int, int, int] = (1, 2, 2)
    """Latents, rows and columns of latent positions that make one token."""
    freq_dim: int = 256
    """Width of the sinusoid that encodes the time."""
    condition_dim: int = 768
    """Width of the vector that the gates are made of."""
    text_dim: int = 4096
    """Width of the text encoder's output."""
    text_len: int = 800
    """The most caption tokens attended to; as many are learned for the empty caption."""
    text_hidden_dim: int = 3072
    """Width of a caption token before the layers make keys and values of it."""
    eps: float = 1e-6
    """Added to the variance in every normalisation."""

    def __post_init__(self) -> None:
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"{self.num_heads} heads cannot share {self.num_kv_heads} heads of keys and values evenly: choose a "
                "divisor of the number of heads."
            )
        if self.head_dim % 8:
            raise ValueError(
                f"head_dim is {self.head_dim}, but a quarter of it is left alone and the rest turned in pairs along "
                "three axes: make it a multiple of 8."
            )
        if self.num_heads * self.head_dim % NUM_INTERLEAVED:
            raise ValueError(
                f"{self.num_heads} heads of {self.head_dim} cannot be cut into {NUM_INTERLEAVED} parts: choose others."
            )
        if self.patch_size[0] != 1:
            raise ValueError(f"patch_size is {self.patch_size}, but a page is one latent: the first must be 1.")

    @property
    def in_channels(self) -> int:
        """Channels that are patched, and that are predicted."""
        return 2 * self.latent_channels if self.doubles_channels else self.latent_channels
