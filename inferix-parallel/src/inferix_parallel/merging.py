"""Attention over parts of the keys, put together to attention over all of them.

Letters: B worlds, N tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

Partial = tuple[Tensor, Tensor]
"""A result `[B, N, H, D]` over some keys, and the natural log-sum-exp `[B, N, H]` of its scores, in float32."""


def merged(partials: Iterable[Partial]) -> Tensor:
    """The result over the keys of all partials, in their dtype; in float32 on the way.

    The online softmax of Milakov and Gimelshein (arXiv 1805.02867), a part at a time.
    """
    remaining = iter(partials)
    first, total = next(remaining)
    result = first.float()
    for part, lse in remaining:
        together = torch.logaddexp(total, lse)
        result = result * (total - together).exp().unsqueeze(-1) + part.float() * (lse - together).exp().unsqueeze(-1)
        total = together
    return result.to(first.dtype)
