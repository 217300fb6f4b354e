"""One layer of the transformer: attention and feed-forward, each gated and normalised before it is added.

Letters: B worlds, L latents, S tokens of a latent, N = L * S tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from inferix_core.contracts.model import ChoosingLayerContext, Condition
from torch import Tensor, nn

from inferix_magi.transformer.attention import Attention, PlusOneNorm
from inferix_magi.transformer.config import TransformerConfig
from inferix_magi.transformer.rotary import GridRotary


@dataclass(frozen=True, slots=True, eq=False)
class PassState:
    """What goes from layer to layer: the tokens change, the rest belongs to the pass.

    `tokens` [B, N, dim]; `condition` [B, L, condition_dim], activated, of the latents' times and captions; `grid` is
    (latents, rows, columns) of tokens; entry `e` of world `b` reads `captions[b][e]`.
    """

    tokens: Tensor
    condition: Tensor
    rotary: GridRotary
    grid: tuple[int, int, int]
    captions: Sequence[Sequence[Sequence[Condition]]]


class Gates(nn.Module):
    """Two gates in (-1, 1) for each latent."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Linear(config.condition_dim, 2 * config.dim))

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L, condition_dim] -> those of attention and feed-forward, [B, L, dim] float32."""
        attention, feed_forward = self.proj(condition).tanh().float().chunk(2, dim=-1)
        return attention, feed_forward


class FeedForward(nn.Module):
    """Normalisation, Linear, GELU (exact) or a SiLU gate, Linear."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.is_gated = config.gated_ffn
        self.layer_norm = nn.LayerNorm(config.dim, eps=config.eps)
        self.linear_fc1 = nn.Linear(config.dim, (2 if config.gated_ffn else 1) * config.ffn_dim, bias=False)
        self.linear_fc2 = nn.Linear(config.ffn_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` [..., dim] -> [..., dim]."""
        hidden = self.linear_fc1(self.layer_norm(x))
        if self.is_gated:
            gate, value = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * value
        else:
            hidden = F.gelu(hidden)
        result: Tensor = self.linear_fc2(hidden)
        return result


class TransformerLayer(nn.Module):
    """Attention, then feed-forward. Names are those of the official weights."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.ada_modulate_layer = Gates(config)
        self.self_attention = Attention(config)
        self.self_attn_post_norm = PlusOneNorm(config.dim, eps=config.eps)
        self.mlp = FeedForward(config)
        self.mlp_post_norm = PlusOneNorm(config.dim, eps=config.eps)

    def forward(self, state: PassState, context: ChoosingLayerContext) -> PassState:
        """The state with new tokens."""
        attention_gate, mlp_gate = self.ada_modulate_layer(state.condition)
        x = state.tokens
        attended = self.self_attention(x, context, rotary=state.rotary, captions=state.captions)
        x = gated_add(x, attended, gate=attention_gate, norm=self.self_attn_post_norm)
        x = gated_add(x, self.mlp(x), gate=mlp_gate, norm=self.mlp_post_norm)
        return replace(state, tokens=x)


def gated_add(x: Tensor, change: Tensor, *, gate: Tensor, norm: nn.Module) -> Tensor:
    """The sum x + norm(gate * change), in float32 and then in the precision of `x`; see `PassState` for shapes."""
    num_worlds, num_latents, dim = gate.shape
    gated = change.float().view(num_worlds, num_latents, -1, dim) * gate.unsqueeze(2)  # [B, L, S, dim]
    normed: Tensor = norm(gated.view_as(change))
    return (x.float() + normed.float()).to(x.dtype)
