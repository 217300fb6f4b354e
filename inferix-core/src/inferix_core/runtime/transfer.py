"""Tensors between ranks, each sent once to each rank that needs it.

Letters: B worlds, L latents, S tokens of a latent that a rank has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def all_shares(mine: Tensor, shapes: Sequence[Sequence[int]], *, rank: int) -> list[Tensor]:
    """Every rank's tensor, of the given shapes by rank, on every rank. Collective over the default group."""
    mine = mine.contiguous()
    found = [mine if peer == rank else mine.new_empty(tuple(shape)) for peer, shape in enumerate(shapes)]
    peers = [peer for peer in range(len(shapes)) if peer != rank]
    sends = [dist.P2POp(dist.isend, mine, peer) for peer in peers]
    receives = [dist.P2POp(dist.irecv, found[peer], peer) for peer in peers]
    for work in dist.batch_isend_irecv([*sends, *receives]) if peers else ():
        work.wait()
    return found


def collected(mine: Tensor, shapes: Sequence[Sequence[int]], *, holders: Sequence[int], rank: int) -> list[Tensor]:
    """On rank 0 the tensors of the ranks that are `holders`, of the given shapes; nothing on the others.

    `mine` is this rank's. Rank 0 and the holders call it.
    """
    mine = mine.contiguous()
    if rank:
        dist.send(mine, 0)
        return []
    found = []
    for holder, shape in zip(holders, shapes, strict=True):
        found.append(mine if holder == 0 else mine.new_empty(tuple(shape)))
        if holder:
            dist.recv(found[-1], holder)
    return found


def gathered_tokens(mine: Tensor, shares: Sequence[range], *, rank: int) -> Tensor:
    """All tokens `[B, L * all, ...]` on every rank, of each rank's share `[B, L * S, ...]` of every latent."""
    latents = by_latent(mine, len(shares[rank]))
    shapes = [(*latents.shape[:2], len(share), *latents.shape[3:]) for share in shares]
    return torch.cat(all_shares(latents, shapes, rank=rank), dim=2).flatten(1, 2)


def by_latent(x: Tensor, num_tokens: int) -> Tensor:
    """`[B, L, num_tokens, ...]` of the tokens `[B, L * num_tokens, ...]`."""
    return x.reshape(x.shape[0], -1, num_tokens, *x.shape[2:])


def tokens_of(whole: Tensor, share: range, *, tokens_per_latent: int) -> Tensor:
    """`[B, L * S, ...]` of a share of every latent, of all tokens `[B, L * tokens_per_latent, ...]`."""
    return by_latent(whole, tokens_per_latent)[:, :, share.start : share.stop].flatten(1, 2)
