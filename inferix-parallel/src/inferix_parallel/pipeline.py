"""Groups of layers over ranks, with the pages that belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from inferix_core.contracts.parallel import Ranks, Share
from inferix_core.contracts.workload import PassShape
from inferix_core.plan import KVLayout
from torch import Tensor

from inferix_parallel.degrees import stages

if TYPE_CHECKING:
    import torch
    from inferix_core.contracts.attention import AttentionBackend, Segment

    from inferix_parallel.configuration import PipelineConfig


class Pipeline:
    """Implements `ParallelStrategy`: every rank has all tokens and heads of some layers.

    Parts of a pass follow one another through the stages: one world's, or one entry's where a pass has several blocks
    at different levels in flight. A pass of one block of one world goes through them alone, and saves memory only.
    """

    def __init__(self, config: PipelineConfig, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> None:
        self._shares = stages(layout, ranks.num_ranks)

    @property
    def shares(self) -> Sequence[Share]:
        """See `ParallelStrategy.shares`."""
        return self._shares

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `ParallelStrategy.exchange`."""
        return q, fields

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `ParallelStrategy.attend`."""
        return backend.attend(q, segments, scale=scale)[0]

    def restore(self, out: Tensor) -> Tensor:
        """See `ParallelStrategy.restore`."""
        return out

    def num_bytes_sent(self, passed: PassShape, *, dtype: torch.dtype) -> Sequence[int]:
        """See `CountedStrategy.num_bytes_sent`: attention sends nothing. Tokens between stages are the engine's."""
        return [0] * len(self._shares)
