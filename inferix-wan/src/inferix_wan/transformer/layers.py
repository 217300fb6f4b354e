"""The parts of a transformer block: normalisation, modulation by the time, attention, feed-forward.

Letters: B worlds, N tokens, G groups of tokens that share a time, T condition tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from inferix_core.contracts.model import LayerContext, Rotary
from inferix_core.errors import UnsupportedError
from torch import Tensor, nn
from torch.func import functional_call

from inferix_wan.transformer.conditions import IMAGE
from inferix_wan.transformer.config import TransformerConfig


class RMSNorm(nn.Module):
    """Root-mean-square normalisation over the last axis: float32 inside, cast back, then times a weight."""

    def __init__(self, dim: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """`x` [..., dim] normalised."""
        wide = x.float()
        scale = torch.linalg.vecdot(wide, wide).div(x.shape[-1]).add(self.eps).rsqrt()
        normed: Tensor = (wide * scale.unsqueeze(-1)).to(x.dtype)
        return normed * self.weight


def modulated_norm(x: Tensor, *, shift: Tensor, scale: Tensor, eps: float) -> Tensor:
    """The modulated norm LayerNorm(x) * (1 + scale) + shift for `x` [B, N, dim] and `shift`, `scale` [B, G, dim]."""
    dim = x.shape[-1]
    if scale.shape[0] == 1 and scale.shape[1] == 1:  # one time for all: the norm's own affine step does it
        return F.layer_norm(x, (dim,), (1 + scale).view(dim), shift.view(dim), eps)
    normed = grouped(F.layer_norm(x, (dim,), eps=eps), scale.shape[1])
    return torch.addcmul(shift.unsqueeze(2), normed, (1 + scale).unsqueeze(2)).flatten(1, 2)


def gated_add(x: Tensor, change: Tensor, *, gate: Tensor) -> Tensor:
    """The sum x + change * gate for `x`, `change` [B, N, dim] and `gate` [B, G, dim]."""
    num_groups = gate.shape[1]
    change = change.to(x.dtype)
    return torch.addcmul(grouped(x, num_groups), grouped(change, num_groups), gate.unsqueeze(2)).flatten(1, 2)


def grouped(x: Tensor, num_groups: int) -> Tensor:
    """[B, N, dim] -> [B, G, N / G, dim]."""
    num_worlds, num_tokens, dim = x.shape
    return x.view(num_worlds, num_groups, num_tokens // num_groups, dim)


class SelfAttention(nn.Module):
    """Attention of the pass's tokens over everything that their entries may see.

    Queries and keys are normalised over the full width and handed on unrotated.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim = config.dim
        self.num_heads = config.num_heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim, eps=config.eps)
        self.norm_k = RMSNorm(dim, eps=config.eps)
        self._fused: tuple[Tensor, Tensor] | None = None

    def fuse(self) -> None:
        """Makes queries, keys and values in one product from now on, for running without gradients.

        The weights of `q`, `k` and `v` become parts of one matrix and keep their names; the module stays where it is.
        Raises `UnsupportedError` if a quantizer has packed them.
        """
        layers = (self.q, self.k, self.v)
        if any(type(layer) is not nn.Linear for layer in layers):
            kinds = ", ".join(sorted({type(layer).__name__ for layer in layers}))
            raise UnsupportedError(
                f"One product of queries, keys and values was asked for, but their weights are packed ({kinds}). Leave "
                "out the quantizer, leave them out of what it packs, or set model.fused_qkv to false."
            )
        weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
        for layer, part, shift in zip(layers, weight.chunk(3), bias.chunk(3), strict=True):
            layer.weight = nn.Parameter(part, requires_grad=False)
            layer.bias = nn.Parameter(shift, requires_grad=False)
        self._fused = (weight, bias)

    def forward(self, x: Tensor, context: LayerContext, rotary: Rotary) -> Tensor:
        """`x` [B, N, dim] -> [B, N, dim]."""
        heads = (self.num_heads, -1)
        queries, keys, values = self._products(x)
        q = self.norm_q(queries).unflatten(-1, heads)  # [B, N, H, D]
        k = self.norm_k(keys).unflatten(-1, heads)
        v = torch.unflatten(values, -1, heads)
        attended = context.attend(q, k, v, rotary=rotary)
        projected: Tensor = self.o(attended.flatten(-2))
        return projected

    def _products(self, x: Tensor) -> Sequence[Tensor]:
        """Queries, keys and values [B, N, dim], not normalised."""
        if self._fused is None:
            return self.q(x), self.k(x), self.v(x)
        return F.linear(x, *self._fused).chunk(3, dim=-1)


class CrossAttention(nn.Module):
    """Attention of the pass's tokens over the named parts of their conditions, taken as one.

    Models that start from a picture also attend to its tokens, with the same queries and keys and values of their own;
    the two results are added.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim = config.dim
        self.num_heads = config.num_heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim, eps=config.eps)
        self.norm_k = RMSNorm(dim, eps=config.eps)
        self.takes_image = config.image_dim is not None
        if self.takes_image:
            self.k_img = nn.Linear(dim, dim)
            self.v_img = nn.Linear(dim, dim)
            self.norm_k_img = RMSNorm(dim, eps=config.eps)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [..., T, H, D] of condition tokens [..., T, dim]."""
        heads = (self.num_heads, -1)
        return self.norm_k(self.k(tokens)).unflatten(-1, heads), self.v(tokens).unflatten(-1, heads)

    def project_image(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [..., T, H, D] of image tokens [..., T, dim]."""
        heads = (self.num_heads, -1)
        return self.norm_k_img(self.k_img(tokens)).unflatten(-1, heads), self.v_img(tokens).unflatten(-1, heads)

    def forward(self, x: Tensor, context: LayerContext, parts: Sequence[str]) -> Tensor:
        """`x` [B, N, dim] -> [B, N, dim]."""
        q = self.norm_q(self.q(x)).unflatten(-1, (self.num_heads, -1))
        attended = context.attend_conditions(q, parts, self.project)
        if self.takes_image:
            attended = attended + context.attend_conditions(q, (IMAGE,), self.project_image)
        projected: Tensor = self.o(attended.flatten(-2))
        return projected


def image_projection(image_dim: int, dim: int) -> nn.ModuleDict:
    """Image tokens to the width of the transformer: LayerNorm, Linear, GELU (exact), Linear, LayerNorm."""
    layers = nn.Sequential(
        nn.LayerNorm(image_dim),
        nn.Linear(image_dim, image_dim),
        nn.GELU(),
        nn.Linear(image_dim, dim),
        nn.LayerNorm(dim),
    )
    return nn.ModuleDict({"proj": layers})  # the official name has this step more


def feed_forward(config: TransformerConfig) -> nn.Sequential:
    """Linear, GELU (tanh), Linear."""
    return nn.Sequential(
        nn.Linear(config.dim, config.ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(config.ffn_dim, config.dim)
    )


def run_in_dtype_of(x: Tensor, module: nn.Module) -> Tensor:
    """The output of `module` for `x`, computed in the dtype of `x` whatever that of the weights."""
    weights = dict(module.named_parameters())
    if all(weight.dtype == x.dtype for weight in weights.values()):
        result: Tensor = module(x)
        return result
    widened: Tensor = functional_call(module, {name: weight.to(x.dtype) for name, weight in weights.items()}, (x,))
    return widened


def split_modulation(table: Tensor, embedding: Tensor) -> Sequence[Tensor]:
    """The vectors [B, G, dim] of a learned `table` [1, K, dim] added to a time's `embedding` [B, G, K or 1, dim]."""
    return (table + embedding).unbind(2)
