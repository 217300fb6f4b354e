"""Attention as the sampler has it, for many blocks of one training step at once.

Letters: R rows (one block each), N tokens of a block, T condition tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from inferix_core.contracts.model import Rotary
from torch import Tensor


@dataclass(frozen=True)
class RowGroup:
    """Neighbouring rows that see the same number of other rows.

    `context` [rows, number of context blocks] names the rows that each of them sees besides itself.
    """

    rows: slice
    context: Tensor | None = None


class BlockContext:
    """A `LayerContext` in which every row of the batch is a block and sees the rows that are its past.

    `conditions` are the condition tokens [R, T, dim] of each part.
    """

    def __init__(
        self, groups: Sequence[RowGroup], *, positions: Sequence[Sequence[int]], conditions: Mapping[str, Tensor]
    ) -> None:
        self._groups = groups
        self._positions = positions
        self._conditions = conditions

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        """See `LayerContext.attend`: [R, N, H, D]."""
        if rotary is not None:
            q, k = rotary.rotate(q, self._positions), rotary.rotate(k, self._positions)
        results = []
        for group in self._groups:
            keys, values = k[group.rows], v[group.rows]
            if group.context is not None:
                keys = torch.cat([k[group.context].flatten(1, 2), keys], dim=1)
                values = torch.cat([v[group.context].flatten(1, 2), values], dim=1)
            results.append(_attention(q[group.rows], keys, values))
        return torch.cat(results)

    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """See `LayerContext.attend_conditions`: [R, N, H, D]."""
        keys, values = project(torch.cat([self._conditions[part] for part in parts], dim=1))
        return _attention(q, keys, values)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of [R, N, H, D] over [R, M, H, D]."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    if q.device.type == "cpu":
        # The fused kernel's backward is 2 to 3 times slower than this on a CPU at these sizes.
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        return (torch.softmax(scores, dim=-1) @ v).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
