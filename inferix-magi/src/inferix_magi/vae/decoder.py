"""The decoder: latents to frames.

Letters: B videos, T frames, H, W frame height and width, L latents, h, w their height and width, Z latent channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from inferix_magi.vae.config import VaeConfig
from inferix_magi.vae.layers import PatchTransformer


class Decoder(PatchTransformer):
    """State-dict keys are those of the released VAE under `decoder.`."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__(config)
        self.proj_in = nn.Linear(config.latent_dim, config.dim)
        self.last_layer = nn.Conv3d(config.pixel_dim, 3, kernel_size=3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """[B, Z, L, h, w] -> frames [B, 3, T, H, W]."""
        patches = self.transform(self.proj_in(latents.permute(0, 2, 3, 4, 1)))
        frames: Tensor = self.last_layer(self._pixels(patches))
        return frames

    def _pixels(self, patches: Tensor) -> Tensor:
        """[B, L, h, w, C] -> [B, pixel_dim, T, H, W]; a token's channels are its pixels, frame after frame."""
        frames, side = self.config.patch_frames, self.config.patch_size
        shape = (*patches.shape[:-1], frames, side, side, self.config.pixel_dim)
        inside = patches.reshape(shape)  # [B, L, h, w, pT, pH, pW, pixel]
        laid_out = inside.permute(0, 7, 1, 4, 2, 5, 3, 6)
        return laid_out.flatten(6, 7).flatten(4, 5).flatten(2, 3)
