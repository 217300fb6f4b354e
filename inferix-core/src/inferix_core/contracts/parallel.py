"""Parallel strategies spread one world's tokens, heads and pages over ranks behind `LayerContext.attend`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.attention import AttentionBackend, Segment


class ParallelStrategy(Protocol):
    """Built as `implementation(config, *, num_ranks, rank)`. Collective calls: every rank makes them in one order."""

    def shard(self, tokens: Tensor) -> Tensor:
        """The share of this rank, `[B, N/ranks, ...]`, of the pass's tokens `[B, N, ...]`."""

    def gather(self, tokens: Tensor) -> Tensor:
        """All tokens again, in order, on every rank."""

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """Attention of this rank's queries over every rank's segments."""
