"""Frames to the statistics of latents.

Letters: B videos, T frames, H height, W width, L latents, Z latent channels, h, w latent height and width.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from inferix_wan.vae.config import VaeConfig
from inferix_wan.vae.history import History
from inferix_wan.vae.layers import CausalConv3d, ChannelNorm, FrameAttention, ResidualBlock
from inferix_wan.vae.resample import Downsample


class Encoder(nn.Module):
    """Causal encoder; names of parameters are the official ones."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        dims = [config.base_dim * factor for factor in (1, *config.dim_mult)]
        self.conv1 = CausalConv3d(3, dims[0])
        layers: list[nn.Module] = []
        for stage, (in_dim, out_dim) in enumerate(pairwise(dims)):
            block_dims = [in_dim] + [out_dim] * config.num_res_blocks
            layers += [ResidualBlock(before, after) for before, after in pairwise(block_dims)]
            if stage < len(config.temporal_downsample):
                layers.append(Downsample(out_dim, temporal=config.temporal_downsample[stage]))
        self.downsamples = nn.ModuleList(layers)
        top = dims[-1]
        self.middle = nn.ModuleList([ResidualBlock(top, top), FrameAttention(top), ResidualBlock(top, top)])
        self.head = nn.Sequential(ChannelNorm(top), nn.SiLU(), CausalConv3d(top, 2 * config.latent_dim))

    def forward(self, frames: Tensor, history: History) -> Tensor:
        """[B, 3, T, H, W] -> [B, 2Z, L, h, w]; T is a multiple of the temporal stride, plus 1 at a start."""
        x = self.conv1.extend(frames, history)
        for layer in (*self.downsamples, *self.middle):
            x = layer(x, history)
        norm, activation, conv = self.head
        return cast("CausalConv3d", conv).extend(activation(norm(x)), history)
