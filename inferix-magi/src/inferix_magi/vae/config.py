"""The shape of a MAGI-1 VAE, and what users may set for its decoder; free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from inferix_core.errors import ConfigError
from inferix_core.specs import ComponentConfig
from pydantic import Field, model_validator

_FIXED: Mapping[str, Any] = {
    "double_z": True,
    "in_chans": 3,
    "qkv_bias": True,
    "with_cls_token": True,
    "ln_in_attn": True,
    "norm_code": False,
    "conv_last_layer": True,
    "use_rope": False,
    "use_final_proj": False,
}
"""What the released network is like, by the names in its config.json; others are not built here."""

_FIELDS = {
    "video_size": "train_size",
    "video_length": "train_frames",
    "patch_size": "patch_size",
    "patch_length": "patch_frames",
    "z_chans": "latent_dim",
    "embed_dim": "dim",
    "depth": "num_layers",
    "num_heads": "num_heads",
    "mlp_ratio": "mlp_ratio",
}


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """Dimensions of encoder and decoder; the defaults are those of the released VAE.

    Raises `ValueError` if the heads or the pixels of a patch do not divide `dim`.
    """

    dim: int = 1024
    """Width of a token."""
    num_layers: int = 24
    """Transformer blocks of each side."""
    num_heads: int = 16
    """Attention heads."""
    mlp_ratio: float = 4.0
    """Width inside the feed-forward layers, in units of `dim`."""
    latent_dim: int = 16
    """Channels of a latent."""
    patch_size: int = 8
    """Pixels along one side that one latent position stands for."""
    patch_frames: int = 4
    """Frames that one latent stands for."""
    train_size: int = 256
    """Pixels along one side that the position table was made for."""
    train_frames: int = 16
    """Frames that the position table was made for."""

    def __post_init__(self) -> None:
        pixels = self.patch_frames * self.patch_size**2
        for number, what in ((self.num_heads, "heads"), (pixels, "pixels of a patch")):
            if self.dim % number:
                raise ValueError(f"dim {self.dim} cannot be shared by {number} {what}: choose a multiple.")

    @property
    def table_shape(self) -> tuple[int, int, int]:
        """Latents, rows and columns of the position table."""
        side = self.train_size // self.patch_size
        return self.train_frames // self.patch_frames, side, side

    @property
    def mlp_dim(self) -> int:
        """Width inside the feed-forward layers."""
        return int(self.dim * self.mlp_ratio)

    @property
    def pixel_dim(self) -> int:
        """Channels of a pixel before the last convolution."""
        return self.dim // (self.patch_frames * self.patch_size**2)


def from_official(ddconfig: Mapping[str, Any]) -> VaeConfig:
    """The shape that a released config.json describes under `ddconfig`.

    Raises `ConfigError` for a network of another kind, and for keys that are not known.
    """
    other = {name: ddconfig[name] for name, value in _FIXED.items() if ddconfig.get(name, value) != value}
    unknown = sorted(set(ddconfig) - {*_FIXED, *_FIELDS})
    if other or unknown:
        found = ", ".join([*(f"{name} = {value}" for name, value in other.items()), *unknown])
        wanted = ", ".join(f"{name} = {value}" for name, value in _FIXED.items())
        raise ConfigError(
            f"The VAE is described with {found}, which this package does not build. It builds {wanted}, with "
            f"{', '.join(_FIELDS)} as given."
        )
    return VaeConfig(**{ours: ddconfig[theirs] for theirs, ours in _FIELDS.items() if theirs in ddconfig})


VAES: Mapping[str, VaeConfig] = {
    "released": VaeConfig(),
    "tiny-random": VaeConfig(dim=256, num_layers=1, num_heads=4, mlp_ratio=1.0, train_size=32, train_frames=8),
}
"""The shapes that a decoder may be built in without a checkpoint that says its own."""


class MagiVaeConfig(ComponentConfig):
    """The decoder `magi-vae`."""

    weights: Literal["checkpoint", "random"] = Field(
        default="checkpoint", description="Where the weights come from; random ones are for benches."
    )
    checkpoint: str | None = Field(
        default=None,
        description="The VAE's folder, with config.json and safetensors, one that holds it as ckpt/vae or vae, or a "
        "file of its tensors.",
    )
    size: Literal["released", "tiny-random"] = Field(
        default="released", description="Dimensions of the network, where no config.json says them."
    )
    num_tile_latents: int = Field(
        default=3,
        ge=1,
        description="Latents decoded together, counted from the beginning of each block. With 1 frames do not depend "
        "on how a video is cut into blocks, but each latent is decoded without its neighbours.",
    )
    tile_pixels: int = Field(
        default=256,
        ge=8,
        description="Height and width of the tiles in which frames are decoded, in pixels; a multiple of 8. Memory "
        "and, beyond some hundreds of pixels, time grow with its square.",
    )
    tile_overlap: int = Field(
        default=64, ge=0, description="What neighbouring tiles share and blend, in pixels; a multiple of 8."
    )
    weights_seed: int = Field(default=0, ge=0, lt=2**63, description="The seed of random weights.")

    @model_validator(mode="after")
    def _tiles_overlap_less_than_whole(self) -> Self:
        if 2 * self.tile_overlap > self.tile_pixels:
            raise ValueError(
                f"tile_overlap = {self.tile_overlap} is more than half of tile_pixels = {self.tile_pixels}; choose less"
            )
        return self
