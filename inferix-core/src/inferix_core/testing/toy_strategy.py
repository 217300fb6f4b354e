"""The simplest strategy there is: every rank gets all keys, for tests.

Letters: N tokens, M key tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inferix_core.contracts.parallel import Ranks, Share, parts_of
from inferix_core.plan import KVLayout
from inferix_core.runtime.transfer import all_shares

if TYPE_CHECKING:
    from inferix_core.contracts.attention import AttentionBackend, Segment


class ToyStrategy:
    """Tokens over ranks; keys and values of all ranks are fetched whenever they are attended to."""

    def __init__(self, *, ranks: Ranks, layout: KVLayout) -> None:
        self.ranks = ranks
        self._shares = [
            Share(part, part, range(layout.num_layers))
            for part in parts_of(layout.tokens_per_latent, ranks.num_ranks, what="tokens of a latent")
        ]

    @property
    def shares(self) -> Sequence[Share]:
        """See `ParallelStrategy.shares`."""
        return self._shares

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `ParallelStrategy.exchange`."""
        return q, fields

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `ParallelStrategy.attend`."""
        if self.ranks.num_ranks == 1:
            return backend.attend(q, segments, scale=scale)[0]
        everyone = {name: self._of_all(torch.cat([one[name] for one in segments], dim=1)) for name in ("k", "v")}
        keys, values = everyone["k"], everyone["v"]
        return backend.attend(q, [{"k": k, "v": v} for k, v in zip(keys, values, strict=True)], scale=scale)[0]

    def restore(self, out: Tensor) -> Tensor:
        """See `ParallelStrategy.restore`."""
        return out

    def _of_all(self, mine: Tensor) -> list[Tensor]:
        """Every rank's `[1, M, ...]`."""
        num_latents = mine.shape[1] // len(self._shares[self.ranks.rank].kept_tokens)
        shapes = [(1, num_latents * len(share.kept_tokens), *mine.shape[2:]) for share in self._shares]
        return all_shares(mine, shapes, rank=self.ranks.rank)


class ToyStages(ToyStrategy):
    """Groups of layers over ranks; for models of at least as many layers."""

    def __init__(self, *, ranks: Ranks, layout: KVLayout) -> None:
        tokens = range(layout.tokens_per_latent)
        self.ranks = ranks
        self._shares = [
            Share(tokens, tokens, layers) for layers in parts_of(layout.num_layers, ranks.num_ranks, what="layers")
        ]

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `ParallelStrategy.attend`."""
        return backend.attend(q, segments, scale=scale)[0]
