"""How much the pages of a world matter to the block that begins: products of query and key means.

Letters: L latents, N tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """What is kept of one cache's committed pages: `keys` by latent and `queries` of the last block, `[layers, H, D]`.

    Immutable; both are float32, means over tokens of what layers passed before any rotation.
    """

    keys: Mapping[int, Tensor] = field(default_factory=dict)
    queries: Tensor | None = None

    def with_pages(self, keys: Mapping[int, Tensor], queries: Tensor) -> Means:
        """These means after a block was committed."""
        return Means({**self.keys, **keys}, queries)

    def of(self, latents: Sequence[int]) -> Means:
        """Only the means of these latents."""
        return Means({latent: self.keys[latent] for latent in latents if latent in self.keys}, self.queries)

    def scores(self) -> dict[int, float]:
        """The relevance of each latent: the scaled product of its key mean and the query mean, over layers and heads.

        One transfer from the device.
        """
        if self.queries is None or not self.keys:
            return {}
        keys = torch.stack(list(self.keys.values()))  # [L, layers, H, D]
        scores = (keys * self.queries).sum(-1).mean((1, 2)) * self.queries.shape[-1] ** -0.5
        return dict(zip(self.keys, scores.tolist(), strict=True))


class MeansCollector:
    """Gathers the means of what one world's pass commits, layer by layer."""

    def __init__(self, parts: Sequence[tuple[range, slice]]) -> None:
        """`parts` are the latents of each block that is committed, in order, and its tokens in the pass."""
        self._parts = parts
        self._keys: list[Tensor] = []
        self._queries: list[Tensor] = []

    def add(self, q: Tensor, k: Tensor) -> None:
        """Takes one layer's unrotated queries `[N, H, D]` and keys `[N, Hkv, D]` of the whole pass."""
        keys = [k[tokens].float().view(len(latents), -1, *k.shape[1:]).mean(1) for latents, tokens in self._parts]
        queries = q[self._parts[-1][1]].float().mean(0)
        self._keys.append(torch.cat(keys))  # [L, Hkv, D]
        self._queries.append(queries.view(k.shape[1], -1, k.shape[2]).mean(1))  # [Hkv, D]

    def added_to(self, means: Means, *, mean: Callable[[Tensor], Tensor] = lambda own: own) -> Means:
        """The world's means with those that were gathered; unchanged if no layer came by.

        `mean` makes the mean over all ranks of this one's `[..., layers, Hkv, D]`.
        """
        if not self._keys:
            return means
        keys = mean(torch.stack(self._keys, dim=1))  # [L, layers, Hkv, D]
        latents = [latent for part, _ in self._parts for latent in part]
        return means.with_pages(dict(zip(latents, keys, strict=True)), mean(torch.stack(self._queries)))
