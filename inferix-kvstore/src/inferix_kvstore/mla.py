"""Multi-head latent attention: a token keeps one compressed latent, from which all heads' keys and values come.

DeepSeek-V2 (arXiv 2405.04434, section 2.1.2 and 2.1.3, equations 9–19). Queries are not compressed (equations 12
and 13): that saves memory in training alone.

Letters: B worlds, N tokens of the pass, M tokens that are read, H heads, D head dim, R rank of the latent,
P dims of the rotary part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from inferix_core.plan import FieldShape, KVLayout
from torch import Tensor, nn

if TYPE_CHECKING:
    from inferix_core.contracts.attention import Segment
    from inferix_core.contracts.model import CompressedLayerContext, Rotary


def mla_layout(*, num_layers: int, tokens_per_latent: int, rank: int, rope_dim: int) -> KVLayout:
    """What is kept of each latent: for each token and layer `rank` numbers and a rotary key of `rope_dim`.

    Heads do not count: all of them share both.
    """
    return KVLayout(num_layers, tokens_per_latent, {"latent": FieldShape((rank,)), "rope_key": FieldShape((rope_dim,))})


class MultiHeadLatentAttention(nn.Module):
    """Self-attention of one layer that keeps `latent` and `rope_key` of each token, as `mla_layout` says.

    `rotary` is the model's, for parts of `rope_dim`. Keys are rotated before they are kept, so that the layer is for
    absolute positions.
    """

    def __init__(self, width: int, *, num_heads: int, head_dim: int, rank: int, rope_dim: int, rotary: Rotary) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.rank, self.rope_dim = num_heads, head_dim, rank, rope_dim
        self.rotary = rotary
        self.query = nn.Linear(width, num_heads * (head_dim + rope_dim), bias=False)  # W^Q and W^QR
        self.down = nn.Linear(width, rank + rope_dim, bias=False)  # W^DKV and W^KR
        self.up = nn.Linear(rank, num_heads * 2 * head_dim, bias=False)  # for each head W^UK, then W^UV
        self.out = nn.Linear(num_heads * head_dim, width, bias=False)  # W^O

    def forward(
        self,
        x: Tensor,
        positions: Sequence[Sequence[int]],
        context: CompressedLayerContext,
        *,
        absorbed: bool = False,
    ) -> Tensor:
        """Hidden tokens `[B, N, width]` after attention to all that they may see.

        `positions` are as in `PassInput`. By default keys and values of all heads are made of what is read. With
        `absorbed` none is made: attention runs on the latents themselves, whose rank is usually larger than a head,
        which pays where a pass has few queries for what it reads. The result is the same but for rounding.
        """
        latent, rope_key = self.down(x).split([self.rank, self.rope_dim], dim=-1)
        rope_key = self.rotary.rotate(rope_key.unsqueeze(2), positions).squeeze(2)
        query = self.query(x).unflatten(-1, (self.num_heads, -1))  # [B, N, H, D + P]
        query, rope_query = query.split([self.head_dim, self.rope_dim], dim=-1)
        rope_query = self.rotary.rotate(rope_query, positions)
        fields = {"latent": latent, "rope_key": rope_key}
        attend = self._attend_latents if absorbed else self._attend_heads
        result: Tensor = self.out(attend(query, rope_query, fields, context).flatten(2))
        return result

    def _attend_heads(
        self, query: Tensor, rope_query: Tensor, fields: Segment, context: CompressedLayerContext
    ) -> Tensor:
        """`[B, N, H, D]`, from keys and values of each head that are made of the latents when they are read."""
        return self._attended(torch.cat([query, rope_query], dim=-1), fields, self._heads_of, context)

    def _attend_latents(
        self, query: Tensor, rope_query: Tensor, fields: Segment, context: CompressedLayerContext
    ) -> Tensor:
        """`[B, N, H, D]`, with the up-projection in the query and in the result instead of in keys and values."""
        up = self.up.weight.view(self.num_heads, 2, self.head_dim, self.rank)
        of_keys, of_values = up[:, 0], up[:, 1]  # [H, D, R]
        query = torch.einsum("bnhd,hdr->bnhr", query, of_keys)
        mixed = self._attended(torch.cat([query, rope_query], dim=-1), fields, _latents_of, context)  # [B, N, H, R]
        return torch.einsum("bnhr,hdr->bnhd", mixed, of_values)

    def _attended(
        self,
        query: Tensor,
        fields: Segment,
        expand: Callable[[Segment], tuple[Tensor, Tensor]],
        context: CompressedLayerContext,
    ) -> Tensor:
        scale = (self.head_dim + self.rope_dim) ** -0.5
        return context.attend_compressed(query, fields, expand=expand, scale=scale)

    def _heads_of(self, segment: Segment) -> tuple[Tensor, Tensor]:
        """Keys `[1, M, H, D + P]` and values `[1, M, H, D]` of kept tokens."""
        heads = self.up(segment["latent"]).unflatten(-1, (self.num_heads, 2 * self.head_dim))
        keys, values = heads.split(self.head_dim, dim=-1)
        rope_keys = segment["rope_key"].unsqueeze(2).expand(-1, -1, self.num_heads, -1)
        return torch.cat([keys, rope_keys], dim=-1), values


def _latents_of(segment: Segment) -> tuple[Tensor, Tensor]:
    """Keys `[1, M, 1, R + P]` and values `[1, M, 1, R]` of kept tokens, one head for all queries."""
    latent, rope_key = segment["latent"], segment["rope_key"]
    return torch.cat([latent, rope_key], dim=-1).unsqueeze(2), latent.unsqueeze(2)
