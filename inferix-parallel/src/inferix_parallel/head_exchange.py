"""Ulysses: all heads of some tokens for some heads of all tokens (arXiv 2309.14509).

Letters: B worlds, L latents, S tokens of a latent that a rank has, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
import torch.distributed as dist
from inferix_core.contracts.parallel import BY_HEADS, Share
from inferix_core.errors import ConfigError
from torch import Tensor

_QUERIES = "q"


class HeadExchange:
    """The exchange among the ranks of one group, `shares` by place in it; `place` is this rank's."""

    def __init__(self, shares: Sequence[Share], *, place: int, group: dist.ProcessGroup | None) -> None:
        self._shares = shares
        self._mine = shares[place]
        self._group = group

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `ParallelStrategy.exchange`; one message to each rank of the group."""
        if q.shape[2] % len(self._shares):
            raise ConfigError(
                f"{q.shape[2]} query heads cannot be split over {len(self._shares)} ranks. Use a number of ranks that "
                "divides them, or parallel.use = 'ring', which cuts tokens."
            )
        latents = {name: self._latents(x) for name, x in {_QUERIES: q, **fields}.items()}
        received: dict[str, Tensor] = {}
        for names in _by_dtype(latents):
            chunks = [[self._part_for(peer, name, latents[name]) for name in names] for peer in self._shares]
            shapes = [[self._shape_from(peer, name, latents[name]) for name in names] for peer in self._shares]
            parts = zip(*_all_to_all(chunks, shapes, group=self._group), strict=True)
            received |= {name: torch.cat(part, dim=2).flatten(1, 2) for name, part in zip(names, parts, strict=True)}
        return received.pop(_QUERIES), received

    def restore(self, out: Tensor) -> Tensor:
        """See `ParallelStrategy.restore`."""
        kept = self._mine.kept_tokens
        latents = out.reshape(out.shape[0], -1, len(kept), *out.shape[2:])  # [B, L, S of all, H of mine, D]
        chunks = [
            [latents[:, :, peer.tokens.start - kept.start : peer.tokens.stop - kept.start]] for peer in self._shares
        ]
        shape = (*latents.shape[:2], len(self._mine.tokens), *latents.shape[3:])
        parts = _all_to_all(chunks, [[shape]] * len(self._shares), group=self._group)
        return torch.cat([part for (part,) in parts], dim=3).flatten(1, 2)

    def _latents(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, len(self._mine.tokens), *x.shape[2:])  # [B, L, S of mine, ...]

    def _part_for(self, peer: Share, name: str, latents: Tensor) -> Tensor:
        """What a rank gets of this rank's tokens: its heads, or all of a field without heads."""
        if name not in (_QUERIES, *BY_HEADS):
            return latents
        heads = peer.heads(latents.shape[3])
        return latents[:, :, :, heads.start : heads.stop]

    def _shape_from(self, peer: Share, name: str, latents: Tensor) -> tuple[int, ...]:
        mine = self._part_for(self._mine, name, latents)
        return (*mine.shape[:2], len(peer.tokens), *mine.shape[3:])


def _by_dtype(tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """Names of the tensors that can go in one message."""
    groups: dict[torch.dtype, list[str]] = {}
    for name, tensor in tensors.items():
        groups.setdefault(tensor.dtype, []).append(name)
    return list(groups.values())


def _all_to_all(
    chunks: Sequence[Sequence[Tensor]],
    shapes: Sequence[Sequence[tuple[int, ...]]],
    *,
    group: dist.ProcessGroup | None,
) -> list[list[Tensor]]:
    """What each rank of the group has for this one, of the given shapes; `chunks` are what this one has for each."""
    sent = torch.cat([chunk.reshape(-1) for of_peer in chunks for chunk in of_peer])
    sizes = [[prod(shape) for shape in of_peer] for of_peer in shapes]
    received = sent.new_empty(sum(map(sum, sizes)))
    dist.all_to_all_single(
        received,
        sent,
        output_split_sizes=[sum(of_peer) for of_peer in sizes],
        input_split_sizes=[sum(chunk.numel() for chunk in of_peer) for of_peer in chunks],
        group=group,
    )
    flat = iter(torch.split(received, [size for of_peer in sizes for size in of_peer]))
    return [[next(flat).view(shape) for shape in of_peer] for of_peer in shapes]
