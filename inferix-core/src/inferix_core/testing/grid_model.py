"""A toy whose tokens differ by their place, so that a share of them that is wrong shows: for tests of strategies.

Letters: B worlds, L latents, S tokens of a latent that are here, N tokens, H heads, D head dim.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from inferix_core.contracts.model import Condition, Conditions, Layer, LayerContext, PassInput, Rotary
from inferix_core.plan import FieldShape, Geometry, KVLayout
from inferix_core.signals import Signal

_CHANNELS, _HEAD_DIM, _ROWS, _COLUMNS = 2, 8, 3, 5


class GridRotary:
    """Turns pairs by an angle of the latent's position and the token's place. Implements `ShardedRotary`."""

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]], *, tokens: range | None = None) -> Tensor:
        """See `ShardedRotary.rotate`."""
        places = torch.tensor(list(tokens or range(_ROWS * _COLUMNS)), dtype=torch.float64)
        angles = torch.tensor(positions, dtype=torch.float64).unsqueeze(-1) + 0.3 * places  # [B, L, S]
        angles = angles.flatten(1)[:, :, None, None]
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class WholeRotary:
    """The same for whole latents alone, as models have it that know nothing of shares."""

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]]) -> Tensor:
        """See `Rotary.rotate`."""
        return GridRotary().rotate(x, positions)


@dataclass(frozen=True, slots=True)
class _Hidden:
    """`tokens` `[B, N, width]`; `shifts` `[B, L, 1]` of the latents' times."""

    tokens: Tensor
    shifts: Tensor


class GridModel:
    """Layers of attention over 15 tokens a latent; prompts become condition tokens. Implements `ShardedModel` and
    `StagedModel`.

    `rotary` is `WholeRotary` for a model that is to be taken for one without "token-sharding".
    """

    def __init__(
        self,
        *,
        num_heads: int = 4,
        num_kv_heads: int | None = None,
        num_layers: int = 2,
        rotary: Rotary | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        num_kv_heads = num_kv_heads or num_heads
        width = num_heads * _HEAD_DIM
        self.num_heads = num_heads
        self.geometry = Geometry((_CHANNELS, _ROWS, _COLUMNS), _ROWS * _COLUMNS, 4 * _ROWS, 4 * _COLUMNS, fps=8.0)
        shape = FieldShape((num_kv_heads, _HEAD_DIM))
        self.layout = KVLayout(num_layers, _ROWS * _COLUMNS, {"k": shape, "v": shape})
        self.dtype = self.latent_dtype = dtype
        generator = torch.Generator().manual_seed(0)
        self._into = torch.randn(_CHANNELS, width, generator=generator)
        self._out = torch.randn(width, _CHANNELS, generator=generator) * 0.3
        self.layers: Sequence[Layer] = [
            _GridLayer(generator, num_heads, num_kv_heads, rotary or GridRotary()) for _ in range(num_layers)
        ]

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """See `Model.encode`."""
        text = (previous or {}).get("text")
        if text is None or signal.prompt is not None:
            generator = torch.Generator().manual_seed(zlib.crc32((signal.prompt or "").encode()))
            text = Condition(torch.randn(1, 3, self.num_heads * _HEAD_DIM, generator=generator))
        return {"text": text}

    def embed(self, pass_input: PassInput) -> _Hidden:
        """See `Model.embed`."""
        tokens = torch.einsum("blchw,cd->blhwd", pass_input.latents.float(), self._into).flatten(1, 3)
        return _Hidden(tokens.to(self.dtype), 0.001 * torch.tensor(pass_input.times).unsqueeze(-1))

    def shard(self, state: _Hidden, tokens: range) -> _Hidden:
        """See `ShardedModel.shard`."""
        latents = _by_latent(state)
        return replace(state, tokens=latents[:, :, tokens.start : tokens.stop].flatten(1, 2))

    def tokens(self, state: _Hidden) -> Tensor:
        """See `StagedModel.tokens`."""
        return state.tokens

    def with_tokens(self, state: _Hidden, tokens: Tensor) -> _Hidden:
        """See `StagedModel.with_tokens`."""
        return replace(state, tokens=tokens)

    def head(self, state: _Hidden) -> Tensor:
        """See `Model.head`."""
        return self.head_of_shards(state, lambda tokens: tokens)

    def head_of_shards(self, state: _Hidden, gather: Callable[[Tensor], Tensor]) -> Tensor:
        """See `ShardedModel.head_of_shards`."""
        grid = gather(state.tokens.float() @ self._out).view(len(state.tokens), -1, _ROWS, _COLUMNS, _CHANNELS)
        return grid.permute(0, 1, 4, 2, 3).to(self.latent_dtype)


class _GridLayer:
    def __init__(self, generator: torch.Generator, num_heads: int, num_kv_heads: int, rotary: Rotary) -> None:
        width = num_heads * _HEAD_DIM
        self._sizes = [width, num_kv_heads * _HEAD_DIM, num_kv_heads * _HEAD_DIM]
        self._qkv = torch.randn(width, sum(self._sizes), generator=generator) * 0.4
        self._cross = torch.randn(width, 2 * width, generator=generator) * 0.4
        self._rotary = rotary

    def __call__(self, state: _Hidden, context: LayerContext) -> _Hidden:
        latents = _by_latent(state)
        x = torch.tanh(latents + state.shifts.unsqueeze(-1).to(latents.dtype)).flatten(1, 2)
        parts = torch.split(x @ self._qkv.to(x.dtype), self._sizes, dim=-1)
        q, k, v = (part.reshape(*part.shape[:2], -1, _HEAD_DIM) for part in parts)
        x = x + context.attend(q, k, v, rotary=self._rotary).flatten(2)
        x = x + context.attend_conditions(q, ("text",), self._project).flatten(2)
        return replace(state, tokens=x)

    def _project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        projected = (tokens @ self._cross).view(*tokens.shape[:2], -1, _HEAD_DIM)
        return cast("tuple[Tensor, Tensor]", projected.chunk(2, dim=2))


def _by_latent(state: _Hidden) -> Tensor:
    """The tokens as `[B, L, S, width]`."""
    num_worlds, num_latents = state.shifts.shape[:2]
    return state.tokens.view(num_worlds, num_latents, -1, state.tokens.shape[-1])
