"""Ulysses by xDiT's package (`pip install inferix-parallel[xfuser]`), where CUDA is there.

What xDiT calls USP is an exchange of heads, attention, and the exchange back. Here the KV cache lies between the first
two, so its two exchanges are used and attention is the engine's own. Its ring is not used: it takes shards of one size
and no cache.

Letters: B worlds, L latents, S tokens of a latent that a rank has, H heads, D head dim.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from inferix_core.contracts.parallel import BY_HEADS, Ranks, Share
from inferix_core.errors import ConfigError, UnsupportedError
from inferix_core.plan import KVLayout
from torch import Tensor

from inferix_parallel.configuration import XfuserConfig
from inferix_parallel.degrees import Degrees, Heads

if TYPE_CHECKING:
    from inferix_core.contracts.attention import AttentionBackend, Segment


class Exchange(Protocol):
    """What is used of `xfuser.model_executor.layers.usp`. Tokens come rank after rank."""

    def _ft_c_input_all_to_all(self, x: Tensor) -> Tensor:
        """`[B, H, tokens of one rank, D]` to `[B, H of one rank, tokens of all, D]`."""

    def _ft_c_output_all_to_all(self, x: Tensor) -> Tensor:
        """The way back."""


class XfuserUlysses:
    """Implements `ParallelStrategy` over xDiT's exchanges; `exchange` is theirs unless another is given."""

    def __init__(
        self,
        config: XfuserConfig,
        *,
        ranks: Ranks,
        layout: KVLayout,
        num_heads: int | None,
        exchange: Exchange | None = None,
    ) -> None:
        self._num_ranks = ranks.num_ranks
        degrees = Degrees(ulysses=ranks.num_ranks)
        heads = Heads.of(layout, num_heads)
        degrees.check(layout, heads)
        if heads.keys is not None and heads.keys % ranks.num_ranks:
            raise ConfigError(
                f"parallel.use = 'xfuser' cannot give {heads.keys} key heads to {ranks.num_ranks} ranks. Use "
                "'ulysses', where several ranks may hold one."
            )
        _check_equal(layout, num_ranks=ranks.num_ranks)
        self._shares = degrees.shares(layout)
        self._xdit = exchange if exchange is not None or ranks.num_ranks == 1 else load_xdit(ranks)

    @property
    def shares(self) -> Sequence[Share]:
        """See `ParallelStrategy.shares`."""
        return self._shares

    def exchange(self, q: Tensor, fields: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `ParallelStrategy.exchange`. Raises `UnsupportedError` for fields other than keys and values."""
        if self._xdit is None:
            return q, fields
        if other := [name for name in fields if name not in BY_HEADS]:
            raise UnsupportedError(
                f"parallel.use = 'xfuser' exchanges keys and values, but the model keeps {', '.join(other)}. "
                "Use 'ring'."
            )
        return self._to_heads(q), {name: self._to_heads(x) for name, x in fields.items()}

    def attend(self, q: Tensor, segments: Sequence[Segment], *, backend: AttentionBackend, scale: float) -> Tensor:
        """See `ParallelStrategy.attend`."""
        return backend.attend(q, segments, scale=scale)[0]

    def restore(self, out: Tensor) -> Tensor:
        """See `ParallelStrategy.restore`."""
        if self._xdit is None:
            return out
        num_worlds, _, num_heads, dim = out.shape
        latents = out.view(num_worlds, -1, self._num_ranks, len(self._shares[0].tokens), num_heads, dim)
        by_rank = latents.transpose(1, 2).flatten(1, 3)  # [B, ranks * L * S, H, D]
        return self._xdit._ft_c_output_all_to_all(by_rank.transpose(1, 2).contiguous()).transpose(1, 2)

    def _to_heads(self, x: Tensor) -> Tensor:
        assert self._xdit is not None, "there are several ranks"
        by_rank = self._xdit._ft_c_input_all_to_all(x.transpose(1, 2).contiguous()).transpose(1, 2)
        num_worlds, _, num_heads, dim = by_rank.shape
        parts = by_rank.reshape(num_worlds, self._num_ranks, -1, len(self._shares[0].tokens), num_heads, dim)
        return parts.transpose(1, 2).flatten(1, 3)  # [B, L * all S, H, D]


def load_xdit(ranks: Ranks) -> Exchange:
    """XDiT's exchanges among all ranks, imported now. Raises `UnsupportedError` where the package cannot work."""
    if not torch.cuda.is_available():
        raise UnsupportedError(
            "parallel.use = 'xfuser' needs CUDA, which torch does not find here. Use 'ulysses', which runs anywhere."
        )
    try:
        groups = importlib.import_module("xfuser.core.distributed")
        layers: Exchange = importlib.import_module("xfuser.model_executor.layers.usp")
    except Exception as error:  # where it does not fit a machine it raises all kinds of errors at import
        raise UnsupportedError(
            f"parallel.use = 'xfuser' was asked for, but xfuser cannot be imported: {type(error).__name__}: {error}. "
            "Try: pip install 'inferix-parallel[xfuser]', or use 'ulysses'."
        ) from error
    groups.init_distributed_environment(rank=ranks.rank, world_size=ranks.num_ranks)
    groups.initialize_model_parallel(sequence_parallel_degree=ranks.num_ranks, ulysses_degree=ranks.num_ranks)
    return layers


def _check_equal(layout: KVLayout, *, num_ranks: int) -> None:
    if layout.tokens_per_latent % num_ranks:
        fitting = [count for count in range(1, 65) if layout.tokens_per_latent % count == 0]
        raise ConfigError(
            f"parallel.use = 'xfuser' takes shares of one size, but {layout.tokens_per_latent} tokens of a latent are "
            f"not divided by {num_ranks} ranks; {', '.join(map(str, fitting))} would work. Use 'ulysses', whose shares "
            "may differ."
        )
