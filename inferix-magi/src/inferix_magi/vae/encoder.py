"""The encoder: frames to the statistics of latents.

Letters: B videos, T frames, H, W frame height and width, L latents, h, w their height and width, Z latent channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from inferix_magi.vae.config import VaeConfig
from inferix_magi.vae.layers import PatchTransformer


class PatchEmbedding(nn.Module):
    """Cuts frames into patches of pixels."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        patch = (config.patch_frames, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(3, config.dim, patch, stride=patch)

    def forward(self, frames: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> [B, L, h, w, C]."""
        out: Tensor = self.proj(frames)
        return out.permute(0, 2, 3, 4, 1)


class Encoder(PatchTransformer):
    """State-dict keys are those of the released VAE under `encoder.`."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbedding(config)
        self.last_layer = nn.Linear(config.dim, 2 * config.latent_dim)

    def forward(self, frames: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> mean and logarithm of the variance [B, 2 Z, L, h, w]."""
        statistics: Tensor = self.last_layer(self.transform(self.patch_embed(frames)))
        return statistics.permute(0, 4, 1, 2, 3)
