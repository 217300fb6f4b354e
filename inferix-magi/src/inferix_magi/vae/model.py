"""The VAE of MAGI-1 over whole videos, as large as they are.

Letters: B videos, T frames, H, W frame height and width, L latents, h, w their height and width, Z latent channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inferix_magi.vae.config import VaeConfig
from inferix_magi.vae.decoder import Decoder
from inferix_magi.vae.encoder import Encoder


class MagiVae(nn.Module):
    """Every token attends to every other, so that time and memory grow with the square of a video: see `tiling`.

    State-dict keys are those of the released VAE.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, in which the network runs."""
        return self.encoder.cls_token.dtype

    def moments(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, T, H, W] in [-1, 1] -> mean and logarithm of the variance [B, 2 Z, L, h, w]."""
        out: Tensor = self.encoder(frames)
        return out

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, T, H, W] in [-1, 1] -> latents [B, Z, L, h, w], the mean: nothing is drawn."""
        return self.moments(frames).chunk(2, dim=1)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, Z, L, h, w] -> frames [B, 3, T, H, W], about in [-1, 1] and not clamped."""
        frames: Tensor = self.decoder(latents)
        return frames
