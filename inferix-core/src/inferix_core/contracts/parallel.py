"""Parallel strategies spread one world's tokens, heads, pages and layers over ranks.

Letters: B worlds, L latents, N tokens of the pass, S tokens of a latent, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from inferix_core.contracts.model import Model, Rotary
from inferix_core.errors import ConfigError, UnsupportedError
from inferix_core.plan import KVLayout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from inferix_core.contracts.attention import AttentionBackend, Segment

BY_HEADS = ("k", "v")
"""The fields of a layout whose first axis is heads; every other field belongs to all heads alike."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a run and this one's place among them.

    Where `num_ranks` is more than 1, torch.distributed's default group is theirs; collectives work on tensors of
    `device`.
    """

    rank: int
    num_ranks: int
    device: torch.device


@dataclass(frozen=True, slots=True)
class Share:
    """What one rank has of a world. Tokens are counted inside each latent, so that a page stays a latent's everywhere.

    `tokens` of each latent pass through the layers of the rank, which are `layers`. Its pages keep `kept_tokens` of
    each latent and, of keys and values, part `head_part` of the heads, cut into `num_head_parts`.
    """

    tokens: range
    kept_tokens: range
    layers: range
    head_part: int = 0
    num_head_parts: int = 1

    def heads(self, num_heads: int) -> range:
        """The rank's heads of `num_heads`; fewer heads than parts are held by several ranks, one each."""
        if num_heads < self.num_head_parts:
            first = self.head_part * num_heads // self.num_head_parts
            return range(first, first + 1)
        size = num_heads // self.num_head_parts
        return range(self.head_part * size, (self.head_part + 1) * size)

    def layout(self, whole: KVLayout) -> KVLayout:
        """What this rank keeps of each latent, of a model whose layout is `whole`.

        Raises `UnsupportedError` for fields that have not one row for each token.
        """
        fields = {}
        for name, field in whole.fields.items():
            if field.num_rows is not None:
                raise UnsupportedError(
                    f"The model keeps '{name}' in {field.num_rows} rows for each latent, which no strategy can spread "
                    "over ranks. Run it on one rank."
                )
            shape = (len(self.heads(field.shape[0])), *field.shape[1:]) if name in BY_HEADS else field.shape
            fields[name] = replace(field, shape=shape)
        return KVLayout(len(self.layers), len(self.kept_tokens), fields)


class ParallelStrategy(Protocol):
    """Built as `implementation(config, *, ranks, layout, num_heads)`: the model's layout and its number of query heads.

    `num_heads` is None where the model does not say. Raises `ConfigError` for ranks, heads or tokens that do not
    divide, with those that would. On one rank everything is as without a strategy, bit for bit, and nothing is sent.
    `exchange`, `attend` and `restore` are collective: every rank calls them in one order, for each layer.
    """

    @property
    def shares(self) -> Sequence[Share]:
        """What each rank has, by rank. Together their `tokens` are all of a latent, each once."""

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """From what a rank computed to what it keeps: its `tokens` of all heads to its `kept_tokens` of its heads.

        `q` is `[B, L * S, H, D]`, fields are `[B, L * S, ...]`. Fields without heads come whole for `kept_tokens`.
        """

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """Attention of the queries of this rank, `[1, N, H, D]`, over the segments of every rank.

        Segments are this rank's rows of what is seen, the same latents on every rank.
        """

    def restore(self, out: Tensor) -> Tensor:
        """The way back: `[B, L * S, H, D]` of `kept_tokens` and the rank's heads to its `tokens` and all heads."""


class ShardedRotary(Rotary, Protocol):
    """The rotary of a model whose spec provides "token-sharding"."""

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]], *, tokens: range | None = None) -> Tensor:
        """See `Rotary.rotate`. Of each latent `x` holds `tokens` alone, all of them where it is None."""


class ShardedModel(Model, Protocol):
    """A model whose spec provides "token-sharding": its layers run on a share of each latent's tokens.

    Its layers pass `ShardedRotary`, and all that they do outside of their context they do token by token. Other models
    run on several ranks too, with all tokens in the layers of each rank and attention alone spread.
    """

    num_heads: int
    """Query heads of every layer."""

    def shard(self, state: Any, tokens: range) -> Any:
        """The state after `embed` with these tokens of each latent alone."""

    def head_of_shards(self, state: Any, gather: Callable[[Tensor], Tensor]) -> Tensor:
        """`Model.head` where the state holds a share of each latent's tokens.

        `gather` makes all tokens `[B, L * S, ...]` of a share of them, the same bits on every rank. It sends what it is
        given: a model calls it once, late.
        """


class StagedModel(Model, Protocol):
    """A model whose spec provides "layer-stages": groups of its layers can run on different ranks.

    From layer to layer only the state's tokens change, and not in shape or dtype; predictions are in `latent_dtype`.
    """

    def tokens(self, state: Any) -> Tensor:
        """The state's tokens, all that one layer hands to the next."""

    def with_tokens(self, state: Any, tokens: Tensor) -> Any:
        """The state with these tokens instead of its own."""


def parts_of(total: int, num_parts: int, *, what: str) -> list[range]:
    """`total` cut into contiguous parts that differ by one at most. Raises `ConfigError` if one would be empty."""
    if total < num_parts:
        raise ConfigError(
            f"{total} {what} cannot be cut into {num_parts} shards, one of which would be empty: use {total} or fewer."
        )
    bounds = [part * total // num_parts for part in range(num_parts + 1)]
    return [range(start, end) for start, end in pairwise(bounds)]
