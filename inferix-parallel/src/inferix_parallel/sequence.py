"""One world's tokens and heads over ranks: Ulysses, ring, and both together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from inferix_core.contracts.parallel import Ranks, Share
from inferix_core.contracts.workload import PassShape
from inferix_core.plan import KVLayout
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from inferix_parallel.configuration import HybridConfig, Passing, RingConfig, UlyssesConfig
from inferix_parallel.degrees import Degrees, Heads, hybrid_degrees
from inferix_parallel.head_exchange import HeadExchange
from inferix_parallel.ring import RingAttention
from inferix_parallel.traffic import Attended, layer_traffic

if TYPE_CHECKING:
    from inferix_core.contracts.attention import AttentionBackend, Segment

_RING, _ULYSSES = "ring", "ulysses"


class SequenceParallel:
    """Implements `ParallelStrategy` for any degrees."""

    def __init__(
        self, degrees: Degrees, *, ranks: Ranks, layout: KVLayout, num_heads: int | None, passes: Passing = "queries"
    ) -> None:
        degrees.check(layout, Heads.of(layout, num_heads))
        self.degrees = degrees
        self._layout = layout
        self._num_heads = num_heads
        self._passes: Passing = passes
        self._shares = degrees.shares(layout)
        self._heads: HeadExchange | None = None
        self._ring: RingAttention | None = None
        if ranks.num_ranks == 1:
            return
        mesh = init_device_mesh(ranks.device.type, (degrees.ring, degrees.ulysses), mesh_dim_names=(_RING, _ULYSSES))
        row, column = divmod(ranks.rank, degrees.ulysses)
        if degrees.ulysses > 1:
            peers = self._shares[row * degrees.ulysses : (row + 1) * degrees.ulysses]
            self._heads = HeadExchange(peers, place=column, group=mesh.get_group(_ULYSSES))
        if degrees.ring > 1:
            group = mesh.get_group(_RING)
            in_ring = dist.get_process_group_ranks(group)
            self._ring = RingAttention(
                in_ring,
                num_tokens=[len(self._shares[rank].kept_tokens) for rank in in_ring],
                place=row,
                group=group,
                passes=passes,
            )

    @property
    def shares(self) -> Sequence[Share]:
        """See `ParallelStrategy.shares`."""
        return self._shares

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `ParallelStrategy.exchange`."""
        return (q, fields) if self._heads is None else self._heads.exchange(q, fields)

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `ParallelStrategy.attend`."""
        if self._ring is None:
            return backend.attend(q, segments, scale=scale)[0]
        return self._ring.attend(q, segments, backend=backend, scale=scale)

    def restore(self, out: Tensor) -> Tensor:
        """See `ParallelStrategy.restore`."""
        return out if self._heads is None else self._heads.restore(out)

    def num_bytes_sent(self, passed: PassShape, *, dtype: torch.dtype) -> Sequence[int]:
        """See `CountedStrategy.num_bytes_sent`. A model that does not say its query heads has as many as key heads."""
        num_heads = self._num_heads or Heads.of(self._layout, None).keys or 1
        attended = Attended(num_heads=num_heads, layout=self._layout, item_bytes=dtype.itemsize)
        return [one.total for one in layer_traffic(self.degrees, attended, passed, passes=self._passes)]


def ulysses(config: UlyssesConfig, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> SequenceParallel:
    """Heads over all ranks."""
    return SequenceParallel(Degrees(ulysses=ranks.num_ranks), ranks=ranks, layout=layout, num_heads=num_heads)


def ring(config: RingConfig, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> SequenceParallel:
    """Tokens over all ranks."""
    degrees = Degrees(ring=ranks.num_ranks)
    return SequenceParallel(degrees, ranks=ranks, layout=layout, num_heads=num_heads, passes=config.passes)


def hybrid(config: HybridConfig, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> SequenceParallel:
    """Tokens over rings of ranks, heads over the ranks at one place of the rings."""
    heads = Heads.of(layout, num_heads)
    degrees = hybrid_degrees(ranks.num_ranks, heads, ring=config.ring, ulysses=config.ulysses)
    return SequenceParallel(degrees, ranks=ranks, layout=layout, num_heads=num_heads, passes=config.passes)
