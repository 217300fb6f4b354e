"""The layers that encoder and decoder are built from.

Letters: B videos, N tokens (the first is no patch), C width, H heads, D head dim, L latents, h, w their height, width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inferix_magi.vae.config import VaeConfig

_DEVIATION_FLOOR = 1e-5
"""Added to the standard deviation of a head's channels, not to their variance."""
_NORM_EPS = 1e-5


class Attention(nn.Module):
    """Full self-attention whose queries, keys and values are each normalised within their head."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        per_head = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # [B, N, 3, H, D]
        q, k, v = _normalised(per_head).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)  # [B, H, N, D]
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """The feed-forward part of a block."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.dim, config.mlp_dim)
        self.fc2 = nn.Linear(config.mlp_dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Attention, then the feed-forward part; only the latter has a normalisation before it."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.attn = Attention(config)
        self.norm2 = norm(config)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        x = x + self.attn(x)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchTransformer(nn.Module):
    """What encoder and decoder have in common: learned positions, one token that is no patch, blocks."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        latents, rows, columns = config.table_shape
        self.config = config
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + latents * rows * columns, config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = norm(config)

    def transform(self, patches: Tensor) -> Tensor:
        """[B, L, h, w, C] -> the same, each patch having seen all others."""
        grid = (patches.shape[1], patches.shape[2], patches.shape[3])
        lone = self.cls_token.expand(patches.shape[0], -1, -1)
        x = torch.cat([lone, patches.flatten(1, 3)], dim=1) + self.positions(grid)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)[:, 1:]
        return out.reshape(-1, *grid, self.config.dim)

    def positions(self, grid: tuple[int, int, int]) -> Tensor:
        """The table [1, 1 + L·h·w, C], resized from the grid that it was learned for."""
        if grid == self.config.table_shape:
            return self.pos_embed
        learned = self.pos_embed[:, 1:].reshape(1, *self.config.table_shape, -1).permute(0, 4, 1, 2, 3)
        resized = F.interpolate(learned, size=grid, mode="trilinear", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


def norm(config: VaeConfig) -> nn.LayerNorm:
    """The normalisation over a token's channels."""
    return nn.LayerNorm(config.dim, eps=_NORM_EPS)


def _normalised(x: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over the last axis, without learned weights."""
    deviation = x.std(-1, keepdim=True, correction=0)
    return (x - x.mean(-1, keepdim=True)) / (deviation + _DEVIATION_FLOOR)
