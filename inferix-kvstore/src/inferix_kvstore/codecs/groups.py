"""Groups of neighbours along one dimension of a tensor, with a scale and a minimum for each; the last may be short.

Letters: N neighbours, G groups, S neighbours of a whole group.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 32_000.0
"""What values are clamped to before they are encoded with a minimum in fp16: no span of theirs leaves fp16's range."""


def num_groups(length: int, size: int) -> int:
    """How many groups `length` neighbours make."""
    return -(-length // size)


def grouped(values: Tensor, *, dim: int, size: int) -> Tensor:
    """[..., N, ...] as [..., G, S, ...]; a short last group is filled up with its last neighbour.

    Such a group has the minimum and maximum of its own values alone.
    """
    length = values.shape[dim]
    size = min(size, length)
    missing = num_groups(length, size) * size - length
    if missing:
        shape = list(values.shape)
        shape[dim] = missing
        values = torch.cat([values, values.narrow(dim, length - 1, 1).expand(shape)], dim)
    return torch.unflatten(values, dim, (-1, size))


def ungrouped(groups: Tensor, *, dim: int, length: int) -> Tensor:
    """[..., G, S, ...] as [..., N, ...], without what filled up the last group."""
    return groups.flatten(dim, dim + 1).narrow(dim, 0, length)


def scale_and_shift(values: Tensor, scale: Tensor, shift: Tensor, *, dim: int, size: int) -> None:
    """Makes `values * scale + shift` of `values` [..., N, ...], with [..., G, ...] of the same dtype, in place."""
    length = values.shape[dim]
    num_whole, rest = divmod(length, size)
    for first, count, width in ((0, num_whole, size), (num_whole, 1, rest)):
        if count * width:
            part = torch.unflatten(values.narrow(dim, first * size, count * width), dim, (count, width))
            part.mul_(scale.narrow(dim, first, count).unsqueeze(dim + 1))
            part.add_(shift.narrow(dim, first, count).unsqueeze(dim + 1))
