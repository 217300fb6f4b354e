"""Columns of pictures that lie on several ranks, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from inferix_core.runtime.transfer import all_shares


class RankColumns:
    """Implements `Columns`: `parts` are the columns of the latents on each rank, `rank` is this one."""

    def __init__(self, parts: Sequence[range], *, rank: int) -> None:
        self.parts = parts
        self._rank = rank

    @property
    def mine(self) -> range:
        """The columns of this rank."""
        return self.parts[self._rank]

    def widened(self, x: Tensor) -> Tensor:
        """See `Columns.widened`."""
        left, right = x[..., :1].contiguous(), x[..., -1:].contiguous()
        from_left, from_right = torch.zeros_like(left), torch.zeros_like(right)
        operations: list[dist.P2POp] = []
        if self._rank > 0:
            operations += [
                dist.P2POp(dist.isend, left, self._rank - 1),
                dist.P2POp(dist.irecv, from_left, self._rank - 1),
            ]
        if self._rank < len(self.parts) - 1:
            after = self._rank + 1
            operations += [dist.P2POp(dist.isend, right, after), dist.P2POp(dist.irecv, from_right, after)]
        for work in dist.batch_isend_irecv(operations) if operations else ():
            work.wait()
        return _as_it_lay(torch.cat([from_left, x, from_right], dim=-1), x)

    def gathered(self, x: Tensor) -> Tensor:
        """See `Columns.gathered`."""
        return _as_it_lay(torch.cat(self._of_all(x), dim=-1), x)

    def own(self, x: Tensor) -> Tensor:
        """The columns of this rank, of a tensor that has all of them on its last axis, grown by any factor."""
        scale = x.shape[-1] // self.parts[-1].stop
        return x[..., self.mine.start * scale : self.mine.stop * scale]

    def _of_all(self, x: Tensor) -> list[Tensor]:
        scale = x.shape[-1] // len(self.mine)
        shapes = [(*x.shape[:-1], len(part) * scale) for part in self.parts]
        return all_shares(x, shapes, rank=self._rank)


def mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Plain data with every tensor in it changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, tuple | list):
        return type(tree)(mapped(one, change) for one in tree)
    if isinstance(tree, dict):
        return {key: mapped(one, change) for key, one in tree.items()}
    return tree


def _as_it_lay(x: Tensor, like: Tensor) -> Tensor:
    """`x` in the memory order of `like`: convolutions are fast in one of them alone."""
    if like.dim() == 5 and like.is_contiguous(memory_format=torch.channels_last_3d):
        return x.contiguous(memory_format=torch.channels_last_3d)
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()
