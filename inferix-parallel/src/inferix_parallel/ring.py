"""Ring attention: queries or keys go round while every rank attends to what it keeps (arXiv 2310.01889, 2411.01783).

Letters: L latents, S tokens of a latent that a rank keeps, N query tokens, M key tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from inferix_parallel.merging import Partial, merged

if TYPE_CHECKING:
    from inferix_core.contracts.attention import AttentionBackend, Segment

    from inferix_parallel.configuration import Passing


class RingAttention:
    """Attention over what all ranks of one group keep.

    `ranks` are the group's, in the order of the ring; `num_tokens` are the tokens of a latent that each of them keeps;
    `place` is this rank's place.
    """

    def __init__(
        self,
        ranks: Sequence[int],
        *,
        num_tokens: Sequence[int],
        place: int,
        group: dist.ProcessGroup | None,
        passes: Passing,
    ) -> None:
        self._ranks = ranks
        self._num_tokens = num_tokens
        self._place = place
        self._group = group
        self._passes = passes

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `ParallelStrategy.attend`."""
        if self._passes == "queries":
            return merged(self._with_queries_passed(q, segments, backend=backend, scale=scale))
        return merged(self._with_keys_passed(q, segments, backend=backend, scale=scale))

    def _with_queries_passed(
        self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float
    ) -> list[Partial]:
        """Partial results of this rank's queries, which were made where their keys are."""
        made: dict[int, Partial] = {}
        for source, (queries,) in self._going_round([q]):
            result, lse = backend.attend(queries, segments, scale=scale, want_lse=True)
            assert lse is not None, "it was asked for"
            made[source] = (result, lse)
        return self._returned(made)

    def _with_keys_passed(
        self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float
    ) -> Iterator[Partial]:
        """Partial results over what each rank keeps, which comes by."""
        mine = [torch.cat([segment[name] for segment in segments], dim=1) for name in ("k", "v")]
        for _, (keys, values) in self._going_round(mine):
            result, lse = backend.attend(q, [{"k": keys, "v": values}], scale=scale, want_lse=True)
            assert lse is not None, "it was asked for"
            yield result, lse

    def _going_round(self, mine: Sequence[Tensor]) -> Iterator[tuple[int, list[Tensor]]]:
        """Every rank's tensors `[1, L * S, ...]` with its place, this rank's first; they travel while one is used."""
        present = [tensor.contiguous() for tensor in mine]
        for step in range(len(self._ranks)):
            source = (self._place - step) % len(self._ranks)
            is_last = step == len(self._ranks) - 1
            coming, works = ([], []) if is_last else self._passed_on(present, source)
            yield source, present
            for work in works:
                work.wait()
            present = coming

    def _passed_on(self, present: Sequence[Tensor], source: int) -> tuple[list[Tensor], list[dist.Work]]:
        """Sends tensors of the rank at `source` on, and the room for those of the one before it, which arrive."""
        after = self._ranks[(self._place + 1) % len(self._ranks)]
        before = self._ranks[(self._place - 1) % len(self._ranks)]
        coming = [self._room(tensor, source, (source - 1) % len(self._ranks)) for tensor in present]
        sends = [dist.P2POp(dist.isend, tensor, after, self._group) for tensor in present]
        receives = [dist.P2POp(dist.irecv, tensor, before, self._group) for tensor in coming]
        return coming, dist.batch_isend_irecv([*sends, *receives])

    def _returned(self, made: dict[int, Partial]) -> list[Partial]:
        """The partial results of this rank's queries, in the order of the ring, of all that were made anywhere."""
        mine = made[self._place]
        found: list[Partial] = []
        operations: list[dist.P2POp] = []
        for place, rank in enumerate(self._ranks):
            if place == self._place:
                found.append(mine)
                continue
            operations += [dist.P2POp(dist.isend, one.contiguous(), rank, self._group) for one in made[place]]
            room = (torch.empty_like(mine[0]).contiguous(), mine[1].new_empty(mine[1].shape))
            operations += [dist.P2POp(dist.irecv, tensor, rank, self._group) for tensor in room]
            found.append(room)
        for work in dist.batch_isend_irecv(operations):
            work.wait()
        return found

    def _room(self, like: Tensor, source: int, other: int) -> Tensor:
        """Room for what the rank at `other` has, where `like` is the same of the rank at `source`."""
        num_latents = like.shape[1] // self._num_tokens[source]
        return like.new_empty(like.shape[0], num_latents * self._num_tokens[other], *like.shape[2:])
