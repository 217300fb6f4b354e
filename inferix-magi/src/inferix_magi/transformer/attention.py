"""Self- and cross-attention of one layer, side by side on the same normalised input.

Letters: B worlds, N tokens, T caption tokens, H heads, K heads of keys and values, D head dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from inferix_core.contracts.model import ChoosingLayerContext, Condition, Rotary
from torch import Tensor, nn

from inferix_magi.transformer.config import NUM_INTERLEAVED, TransformerConfig


class PlusOneNorm(nn.Module):
    """Layer normalisation whose weight is kept less 1, in the precision of that weight."""

    def __init__(self, dim: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """`x` [..., dim] normalised."""
        return F.layer_norm(x.to(self.weight.dtype), self.weight.shape, self.weight + 1, self.bias, self.eps)


class Projections(nn.Module):
    """Queries of both attentions, keys and values, of normalised tokens."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, kv_width = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        self.layer_norm = nn.LayerNorm(config.dim, eps=config.eps)
        self.q = nn.Linear(config.dim, width, bias=False)
        self.qx = nn.Linear(config.dim, width, bias=False)
        self.k = nn.Linear(config.dim, kv_width, bias=False)
        self.v = nn.Linear(config.dim, kv_width, bias=False)


class Attention(nn.Module):
    """Attention over what entries see, and over their captions; one projection takes both results."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        head_dim, eps = config.head_dim, config.eps
        self.head_dim = head_dim
        self.linear_qkv = Projections(config)
        self.linear_kv_xattn = nn.Linear(config.text_hidden_dim, 2 * config.num_kv_heads * head_dim, bias=False)
        self.linear_proj = nn.Linear(2 * config.num_heads * head_dim, config.dim, bias=False)
        self.q_layernorm = PlusOneNorm(head_dim, eps=eps)
        self.q_layernorm_xattn = PlusOneNorm(head_dim, eps=eps)
        self.k_layernorm = PlusOneNorm(head_dim, eps=eps)
        self.k_layernorm_xattn = PlusOneNorm(head_dim, eps=eps)

    def forward(
        self,
        x: Tensor,
        context: ChoosingLayerContext,
        *,
        rotary: Rotary,
        captions: Sequence[Sequence[Sequence[Condition]]],
    ) -> Tensor:
        """`x` [B, N, dim] -> [B, N, dim] float32."""
        normed = self.linear_qkv.layer_norm(x)
        q, qx, k, v = (self._heads(linear(normed)) for linear in self._linears())
        seen = context.attend(self.q_layernorm(q), self.k_layernorm(k), v, rotary=rotary)
        read = context.attend_chosen(self.q_layernorm_xattn(qx).to(v.dtype), captions, self.project)
        return widened(self.linear_proj, interleaved(seen.flatten(2).to(x.dtype), read.flatten(2).to(x.dtype)))

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [1, T, K, D] of caption tokens [1, T, text_hidden_dim]."""
        projected: Tensor = self.linear_kv_xattn(tokens)
        k, v = projected.view(*tokens.shape[:-1], -1, 2 * self.head_dim).chunk(2, dim=-1)
        return self.k_layernorm_xattn(k).to(v.dtype), v

    def _linears(self) -> tuple[nn.Module, ...]:
        return self.linear_qkv.q, self.linear_qkv.qx, self.linear_qkv.k, self.linear_qkv.v

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.head_dim)


def interleaved(seen: Tensor, read: Tensor) -> Tensor:
    """[..., width] twice -> [..., 2 width]: parts of the one and of the other in turn."""
    parts = [one.reshape(*one.shape[:-1], NUM_INTERLEAVED, -1) for one in (seen, read)]
    return torch.cat(parts, dim=-1).flatten(-2)


def widened(linear: nn.Module, x: Tensor) -> Tensor:
    """The product in float32, of weights and inputs of any precision; a quantised module's is only cast."""
    if type(linear) is nn.Linear:
        return F.linear(x.float(), linear.weight.float())
    product: Tensor = linear(x)
    return product.float()
