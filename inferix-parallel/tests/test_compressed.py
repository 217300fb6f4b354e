"""Layers that keep tokens in a compressed form, whose fields have no heads, under each strategy.

Letters: M tokens that are read, H heads, D head dim, R rank of what is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from inferix_core.contracts.parallel import ParallelStrategy, Ranks
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.grid_model import GridModel
from inferix_core.testing.ranks import on_ranks
from inferix_core.testing.toy_engine import spread_toy_engine, toy_engine
from inferix_parallel.configuration import HybridConfig, RingConfig, UlyssesConfig
from inferix_parallel.sequence import hybrid, ring, ulysses
from torch import Tensor

HEADS, DIM, RANK = 4, 8, 12
Make = Callable[..., ParallelStrategy]


class Compressed(GridModel):
    """Keeps `latent` of each token, of which keys and values of all heads are made, or one key for all heads."""

    def __init__(self, *, num_key_heads: int) -> None:
        super().__init__(num_heads=HEADS)
        self.layout = KVLayout(2, self.layout.tokens_per_latent, {"latent": FieldShape((RANK,))})
        generator = torch.Generator().manual_seed(3)
        self.layers = [_Layer(generator, num_key_heads) for _ in range(2)]


class _Layer:
    def __init__(self, generator: torch.Generator, num_key_heads: int) -> None:
        self._query = torch.randn(HEADS * DIM, HEADS * DIM, generator=generator) * 0.4
        self._down = torch.randn(HEADS * DIM, RANK, generator=generator) * 0.4
        self._up = torch.randn(RANK, 2 * num_key_heads * DIM, generator=generator) * 0.4

    def __call__(self, state: Any, context: Any) -> Any:
        x = torch.tanh(state.tokens)
        q = (x @ self._query).view(*x.shape[:2], HEADS, DIM)
        out = context.attend_compressed(q, {"latent": x @ self._down}, expand=self._expanded, scale=0.3)
        return GridModel.with_tokens(self, state, x + out.flatten(2))  # type: ignore[arg-type]

    def _expanded(self, segment: Any) -> tuple[Tensor, Tensor]:
        """Keys and values `[1, M, H or 1, D]`."""
        keys, values = (segment["latent"] @ self._up).unflatten(-1, (-1, DIM)).chunk(2, dim=2)
        return keys, values


def latents(engine: Any) -> Tensor:
    world = engine.create_world("a", seed=1)
    world.step()
    world.step()
    return torch.stack(list(world.state.committed.values()))


def on_rank(ranks: Ranks, make: Make, config: Any, num_key_heads: int) -> Tensor:
    model = Compressed(num_key_heads=num_key_heads)
    strategy = make(config, ranks=ranks, layout=model.layout, num_heads=HEADS)
    return latents(spread_toy_engine(strategy, ranks=ranks, model=model))


@pytest.mark.parametrize("num_key_heads", [HEADS, 1])
@pytest.mark.parametrize(
    ("make", "config", "num_ranks"),
    [
        (ulysses, UlyssesConfig(), 2),
        (ring, RingConfig(), 2),
        (ring, RingConfig(passes="keys"), 2),
        (hybrid, HybridConfig(ring=2), 4),
    ],
    ids=["ulysses", "ring", "ring-keys", "hybrid"],
)
def test_compressed_tokens_are_attended_to_as_on_one_rank(
    make: Make, config: Any, num_ranks: int, num_key_heads: int
) -> None:
    expected = latents(toy_engine(model=Compressed(num_key_heads=num_key_heads)))
    for found in on_ranks(num_ranks, on_rank, make, config, num_key_heads):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)
