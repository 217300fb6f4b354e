"""The image tower of XLM-Roberta-CLIP, under the official names without their `visual.`.

Letters: B pictures, N tokens, D width of a token, H heads, S side of a picture in pixels.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, cat, empty, nn
from torch.nn import functional as F

from inferix_wan.image.config import ClipConfig

PREFIX = "visual."
"""What the names of the image tower begin with in the official file."""

UNUSED = ("textual.", "log_scale", "visual.post_norm.", "visual.head")
"""What the names of official tensors begin with that do nothing to the tokens: the text tower, and the steps from
tokens to a score."""


class ClipNetwork(nn.Module):
    """Normalised pictures to tokens."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = nn.Conv2d(3, config.dim, config.patch_size, stride=config.patch_size, bias=False)
        self.cls_embedding = nn.Parameter(empty(1, 1, config.dim))
        self.pos_embedding = nn.Parameter(empty(1, config.num_tokens, config.dim))
        self.pre_norm = nn.LayerNorm(config.dim, eps=config.eps)
        self.transformer = nn.ModuleList(_Block(config) for _ in range(config.num_layers))

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, N, D], the class token first, after all blocks but the last and no norm: as Wan reads."""
        return self.tokens_after(self.config.num_layers - 1, pictures)

    def tokens_after(self, num_blocks: int, pictures: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, N, D], after the first `num_blocks` blocks."""
        patches = self.patch_embedding(pictures).flatten(2).transpose(1, 2)  # [B, N - 1, D]
        x = cat([self.cls_embedding.expand(len(patches), -1, -1), patches], dim=1)
        x = self.pre_norm(x + self.pos_embedding)
        for block in self.transformer[:num_blocks]:
            x = block(x)
        return cast("Tensor", x)


def network_name(name: str) -> str | None:
    """What `ClipNetwork` calls a tensor of the official file, None for one of `UNUSED`; unknown names stay."""
    return None if name.startswith(UNUSED) else name.removeprefix(PREFIX)


class _Block(nn.Module):
    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, eps=config.eps)
        self.attn = _Attention(config)
        self.norm2 = nn.LayerNorm(config.dim, eps=config.eps)
        hidden = config.dim * config.mlp_ratio
        self.mlp = nn.Sequential(nn.Linear(config.dim, hidden), nn.GELU(), nn.Linear(hidden, config.dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> the same."""
        x = x + self.attn(self.norm1(x))
        return cast("Tensor", x + self.mlp(self.norm2(x)))


class _Attention(nn.Module):
    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self._num_heads = config.num_heads
        self.to_qkv = nn.Linear(config.dim, 3 * config.dim)
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> the same."""
        qkv = self.to_qkv(x).unflatten(-1, (3, self._num_heads, -1))  # [B, N, 3, H, D / H]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)  # [B, H, N, D / H]
        return cast("Tensor", self.proj(mixed.transpose(1, 2).flatten(2)))
