"""The shape of a tiny autoencoder; free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TinyVaeConfig:
    """Dimensions of a TAEHV for latents of Wan 2.1; the defaults are those of `taew2_1.pth`."""

    base_dim: int = 64
    """Channels of the encoder and at full resolution; the decoder begins with four times as many."""
    latent_dim: int = 16
    """Channels of a latent."""
    num_blocks: int = 3
    """Memory blocks at each of the three resolutions."""

    @property
    def encoder_strides(self) -> tuple[int, int, int]:
        """Frames that become one at each halving of height and width."""
        return (2, 2, 1)

    @property
    def decoder_dims(self) -> tuple[int, int, int, int]:
        """Channels of the decoder's three resolutions, and of the frames before the last convolution."""
        return (4 * self.base_dim, 2 * self.base_dim, self.base_dim, self.base_dim)

    @property
    def decoder_strides(self) -> tuple[int, int, int]:
        """Frames that one becomes at each doubling of height and width."""
        return (1, 2, 2)

    @property
    def spatial_stride(self) -> int:
        """Pixels along one side that one latent position stands for."""
        return 8

    @property
    def temporal_stride(self) -> int:
        """Frames that each latent but the first stands for."""
        return 4
