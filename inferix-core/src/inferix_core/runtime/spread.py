"""How one world lies over the ranks of a run: what the loop and its context do where there are several.

Letters: B worlds, L latents, N tokens, S tokens of a latent, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, cast

import torch.distributed as dist
from torch import Tensor

from inferix_core.contracts.parallel import BY_HEADS
from inferix_core.plan import KVLayout
from inferix_core.runtime.stages import staged_forward
from inferix_core.runtime.transfer import by_latent, collected, gathered_tokens, tokens_of

if TYPE_CHECKING:
    from inferix_core.contracts.attention import AttentionBackend, Segment
    from inferix_core.contracts.model import Model, PassInput, Rotary
    from inferix_core.contracts.parallel import ParallelStrategy, Ranks, ShardedModel, ShardedRotary, Share, StagedModel
    from inferix_core.ranks.line import Line
    from inferix_core.runtime.context import PassContext

Positions = Sequence[Sequence[int]]


class Spread(Protocol):
    """Where tokens, heads and pages of a world are. `Whole` is the plain case: all of it is here."""

    tokens_per_latent: int
    """How many tokens of each latent its layers work on."""
    num_attending_tokens: int
    """How many of them `taken` leaves."""
    num_kept_tokens: int
    """How many of a latent the rank's pages keep."""
    first_layer: int
    """The layer that comes first in the rank's pages."""

    def collective(self) -> AbstractContextManager[None]:
        """Around what talks to other ranks: a failure in it is told to them."""

    def in_step(self) -> AbstractContextManager[None]:
        """Around what may fail on one rank alone: it fails on all then."""

    def forward(self, model: Model, pass_input: PassInput, context: PassContext, *, predicts: bool) -> Tensor | None:
        """One pass: the prediction `[B, L, C, h, w]`, the same bits on every rank, None where nobody wants it."""

    def taken(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Of what a layer hands over the tokens that this rank attends with, `[B, L * S, ...]` each."""

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `ParallelStrategy.exchange`."""

    def restore(self, out: Tensor) -> Tensor:
        """The way back of `taken` and `exchange`."""

    def rotated(self, rotary: Rotary, x: Tensor, positions: Positions) -> Tensor:
        """`x` `[B, N, H, D]`, kept tokens of latents at these positions, rotated."""

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `ParallelStrategy.attend`."""

    def heads(self, x: Tensor, *, num_heads: int) -> Tensor:
        """Of keys or values `[1, M, H, D]` the heads that belong to this rank's `num_heads` query heads."""

    def mean(self, x: Tensor) -> Tensor:
        """The mean `[..., layers, H, D]` over all tokens, of that over this rank's tokens in its layers."""


class Whole:
    """A world that lies on one rank. Implements `Spread`."""

    def __init__(self, tokens_per_latent: int) -> None:
        self.tokens_per_latent = self.num_attending_tokens = self.num_kept_tokens = tokens_per_latent
        self.first_layer = 0

    def collective(self) -> AbstractContextManager[None]:
        """See `Spread.collective`."""
        return nullcontext()

    def in_step(self) -> AbstractContextManager[None]:
        """See `Spread.in_step`."""
        return nullcontext()

    def forward(self, model: Model, pass_input: PassInput, context: PassContext, *, predicts: bool) -> Tensor | None:
        """See `Spread.forward`."""
        hidden = model.embed(pass_input)
        for index, layer in enumerate(model.layers):
            hidden = layer(hidden, context.at(index))
        return model.head(hidden) if predicts else None

    def taken(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See `Spread.taken`."""
        return tensors

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Spread.exchange`."""
        return q, fields

    def restore(self, out: Tensor) -> Tensor:
        """See `Spread.restore`."""
        return out

    def rotated(self, rotary: Rotary, x: Tensor, positions: Positions) -> Tensor:
        """See `Spread.rotated`."""
        return rotary.rotate(x, positions)

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `Spread.attend`."""
        return backend.attend(q, segments, scale=scale)[0]

    def heads(self, x: Tensor, *, num_heads: int) -> Tensor:
        """See `Spread.heads`."""
        return x

    def mean(self, x: Tensor) -> Tensor:
        """See `Spread.mean`."""
        return x


class Sharded:
    """A world over several ranks under a strategy. Implements `Spread`.

    `shards_tokens` says that the model provides "token-sharding". Without it every rank runs all tokens through its
    layers, attends with its share of them, and gets the others' results. `line` is what ranks tell one another by, None
    where each of them is told everything by its caller.
    """

    def __init__(
        self,
        strategy: ParallelStrategy,
        *,
        ranks: Ranks,
        whole: KVLayout,
        shards_tokens: bool,
        line: Line | None = None,
    ) -> None:
        self.strategy = strategy
        self.ranks = ranks
        self.whole = whole
        self._line = line
        self.shares = tuple(strategy.shares)
        self.share: Share = self.shares[ranks.rank]
        self.layout = self.share.layout(whole)
        self._shards_tokens = shards_tokens
        self._is_cut = len(self.share.tokens) < whole.tokens_per_latent
        self._keeps_part = len(self.share.kept_tokens) < whole.tokens_per_latent
        self.num_attending_tokens = len(self.share.tokens)
        self.num_kept_tokens = len(self.share.kept_tokens)
        self.first_layer = self.share.layers.start
        self.tokens_per_latent = len(self.share.tokens) if shards_tokens else whole.tokens_per_latent

    def collective(self) -> AbstractContextManager[None]:
        """See `Spread.collective`."""
        return nullcontext() if self._line is None else self._line.collective()

    def in_step(self) -> AbstractContextManager[None]:
        """See `Spread.in_step`."""
        return nullcontext() if self._line is None else self._line.in_step()

    def forward(self, model: Model, pass_input: PassInput, context: PassContext, *, predicts: bool) -> Tensor | None:
        """See `Spread.forward`."""
        if len(self.share.layers) < self.whole.num_layers:
            return staged_forward(self, cast("StagedModel", model), pass_input, context, predicts=predicts)
        is_sharded = self._shards_tokens and self._is_cut
        hidden = model.embed(pass_input)
        if is_sharded:
            hidden = cast("ShardedModel", model).shard(hidden, self.share.tokens)
        for index, layer in enumerate(model.layers):
            hidden = layer(hidden, context.at(index))
        if not predicts:
            return None
        if is_sharded:
            return cast("ShardedModel", model).head_of_shards(hidden, self._gathered)
        return model.head(hidden)

    def taken(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See `Spread.taken`."""
        if self._shards_tokens or not self._is_cut:
            return tensors
        num_tokens = self.whole.tokens_per_latent
        return tuple(tokens_of(one, self.share.tokens, tokens_per_latent=num_tokens) for one in tensors)

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Spread.exchange`."""
        return self.strategy.exchange(q, fields)

    def restore(self, out: Tensor) -> Tensor:
        """See `Spread.restore`."""
        restored = self.strategy.restore(out)
        return restored if self._shards_tokens or not self._is_cut else self._gathered(restored)

    def rotated(self, rotary: Rotary, x: Tensor, positions: Positions) -> Tensor:
        """See `Spread.rotated`. A rotary that knows whole latents alone gets them, zeros elsewhere."""
        if not self._keeps_part:
            return rotary.rotate(x, positions)
        kept = self.share.kept_tokens
        if self._shards_tokens:
            return cast("ShardedRotary", rotary).rotate(x, positions, tokens=kept)
        latents = by_latent(x, len(kept))  # [B, L, S, H, D]
        padded = latents.new_zeros(*latents.shape[:2], self.whole.tokens_per_latent, *latents.shape[3:])
        padded[:, :, kept.start : kept.stop] = latents
        rotated = rotary.rotate(padded.flatten(1, 2), positions)
        return tokens_of(rotated, kept, tokens_per_latent=self.whole.tokens_per_latent)

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `Spread.attend`."""
        return self.strategy.attend(q, segments, backend=backend, scale=scale)

    def heads(self, x: Tensor, *, num_heads: int) -> Tensor:
        """See `Spread.heads`."""
        if x.shape[2] == 1 or self.share.num_head_parts == 1:
            return x
        mine = self.share.heads(x.shape[2])
        return x[:, :, mine.start : mine.stop]

    def mean(self, x: Tensor) -> Tensor:
        """See `Spread.mean`; the same bits on every rank."""
        if self.ranks.num_ranks == 1:
            return x
        weight = len(self.share.tokens) / self.whole.tokens_per_latent
        total = x.new_zeros(*x.shape[:-3], self.whole.num_layers, *x.shape[-2:])
        total[..., self.share.layers.start : self.share.layers.stop, :, :] = x * weight
        dist.reduce(total, dst=0)
        dist.broadcast(total, src=0)
        return total

    def whole_pages(self, pages: Tensor, *, layer: int, name: str) -> Tensor | None:
        """On rank 0 the pages `[L, S, ...]` of a field in one of all layers, of what ranks keep of them; else None.

        `pages` `[L, S, ...]` are this rank's, ignored where the layer is none of its own. Collective.
        """
        holders = [rank for rank, share in enumerate(self.shares) if layer in share.layers]
        if self.ranks.rank not in (0, *holders):
            return None
        shapes = [(len(pages), *self.shares[rank].layout(self.whole).page_shape(name)) for rank in holders]
        with self.collective():
            parts = collected(pages, shapes, holders=holders, rank=self.ranks.rank)
        if self.ranks.rank:
            return None
        whole = pages.new_empty(len(pages), *self.whole.page_shape(name))
        for rank, part in zip(holders, parts, strict=True):
            self.part_of(whole, name, share=self.shares[rank]).copy_(part)
        return whole

    def part_of(self, pages: Tensor, name: str, *, share: Share | None = None) -> Tensor:
        """What this rank, or one with another `share`, keeps of whole pages `[L, S, ...]` of a field; a view."""
        share = share or self.share
        mine = pages[:, share.kept_tokens.start : share.kept_tokens.stop]
        if name not in BY_HEADS:
            return mine
        heads = share.heads(pages.shape[2])
        return mine[:, :, heads.start : heads.stop]

    def _gathered(self, tokens: Tensor) -> Tensor:
        return gathered_tokens(tokens, [share.tokens for share in self.shares], rank=self.ranks.rank)
