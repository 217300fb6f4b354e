"""The shape of a CLIP image tower; free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Dimensions of the image tower of XLM-Roberta-CLIP; the defaults are those of ViT-H/14, which Wan 2.1 uses.

    Raises `ValueError` if the fields do not fit each other.
    """

    image_size: int = 224
    """Height and width in pixels that pictures are resized to."""
    patch_size: int = 14
    """Height and width in pixels of what makes one token."""
    dim: int = 1280
    """Width of a token."""
    mlp_ratio: int = 4
    """Width inside the feed-forward layers, in units of `dim`."""
    num_heads: int = 16
    """Attention heads."""
    num_layers: int = 32
    """Transformer blocks, the last included, which Wan leaves out."""
    eps: float = 1e-5
    """Added to the variance in every normalisation."""

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} cannot be cut into patches of {self.patch_size}: choose a multiple."
            )
        if self.dim % self.num_heads:
            raise ValueError(f"dim {self.dim} cannot be split into {self.num_heads} heads: choose a multiple.")

    @property
    def num_tokens(self) -> int:
        """Tokens of a picture: one for each patch, and the class token before them."""
        return 1 + (self.image_size // self.patch_size) ** 2
