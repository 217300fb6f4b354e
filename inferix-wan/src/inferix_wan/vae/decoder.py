"""Latents to frames.

Letters: B videos, T frames, H height, W width, L latents, Z latent channels, h, w latent height and width.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from inferix_wan.vae.config import VaeConfig
from inferix_wan.vae.history import History
from inferix_wan.vae.layers import CausalConv3d, ChannelNorm, FrameAttention, ResidualBlock
from inferix_wan.vae.resample import Upsample


class Decoder(nn.Module):
    """Causal decoder; names of parameters are the official ones."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        mult = config.dim_mult[::-1]
        dims = [config.base_dim * factor for factor in (mult[0], *mult)]
        top = dims[0]
        self.conv1 = CausalConv3d(config.latent_dim, top)
        self.middle = nn.ModuleList([ResidualBlock(top, top), FrameAttention(top), ResidualBlock(top, top)])
        layers: list[nn.Module] = []
        temporal_upsample = config.temporal_downsample[::-1]
        for stage, (in_dim, out_dim) in enumerate(pairwise(dims)):
            first_dim = in_dim if stage == 0 else in_dim // 2  # an upsample before it halved the channels
            block_dims = [first_dim] + [out_dim] * (config.num_res_blocks + 1)
            layers += [ResidualBlock(before, after) for before, after in pairwise(block_dims)]
            if stage < len(temporal_upsample):
                layers.append(Upsample(out_dim, temporal=temporal_upsample[stage]))
        self.upsamples = nn.ModuleList(layers)
        self.head = nn.Sequential(ChannelNorm(dims[-1]), nn.SiLU(), CausalConv3d(dims[-1], 3))

    def forward(self, latents: Tensor, history: History) -> Tensor:
        """[B, Z, L, h, w] -> [B, 3, T, H, W], not clamped."""
        x = self.conv1.extend(latents, history)
        for layer in (*self.middle, *self.upsamples):
            x = layer(x, history)
        norm, activation, conv = self.head
        return cast("CausalConv3d", conv).extend(activation(norm(x)), history)
