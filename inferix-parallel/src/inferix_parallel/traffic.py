"""What strategies send, in bytes: the formulas. Free of torch.

Letters: L latents of a pass, S tokens of a latent that a rank has, H heads, D head dim, u and r the degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from inferix_core.contracts.parallel import BY_HEADS, Share
from inferix_core.contracts.workload import PassShape
from inferix_core.plan import KVLayout

from inferix_parallel.configuration import Passing
from inferix_parallel.degrees import Degrees

_LSE_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTraffic:
    """What one rank sends in one layer of one pass, to all others together.

    `exchanged` is the all-to-all before attention and `restored` the one after it; of the ring `hopped` goes to the
    next rank in each of `r - 1` rounds, added up, and `returned` straight back to where queries are from.
    """

    exchanged: int = 0
    restored: int = 0
    hopped: int = 0
    returned: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.exchanged + self.restored + self.hopped + self.returned


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """What layers hand over: query heads of some width, and what is kept of each token."""

    num_heads: int
    layout: KVLayout
    item_bytes: int

    @property
    def head_dim(self) -> int:
        """The width of a query head; results are taken to be as wide."""
        fields = [self.layout.fields[name].shape for name in BY_HEADS if name in self.layout.fields]
        return fields[0][-1] if fields else prod(next(iter(self.layout.fields.values())).shape)


def layer_traffic(
    degrees: Degrees, attended: Attended, passed: PassShape, *, passes: Passing = "queries"
) -> list[LayerTraffic]:
    """By rank, what `exchange`, `attend` and `restore` send for one layer of a pass of one world."""
    shares = degrees.shares(attended.layout)
    return [_of_rank(rank, shares, degrees, attended, passed, passes) for rank in range(len(shares))]


def _of_rank(
    rank: int, shares: Sequence[Share], degrees: Degrees, attended: Attended, passed: PassShape, passes: Passing
) -> LayerTraffic:
    mine, size, width = shares[rank], attended.item_bytes, attended.head_dim
    first = rank - rank % degrees.ulysses
    peers = [share for share in shares[first : first + degrees.ulysses] if share is not mine]
    my_heads = len(mine.heads(attended.num_heads))
    num_latents = passed.num_latents
    exchanged = sum(
        num_latents * len(mine.tokens) * size * (len(peer.heads(attended.num_heads)) * width + _kept(peer, attended))
        for peer in peers
    )
    restored = sum(num_latents * len(peer.tokens) * my_heads * width * size for peer in peers)
    in_ring = list(shares[rank % degrees.ulysses :: degrees.ulysses])
    place = rank // degrees.ulysses
    others = [share for index, share in enumerate(in_ring) if index != place]
    passed_on = [in_ring[(place - step) % len(in_ring)] for step in range(len(in_ring) - 1)]
    hopped = returned = 0
    for entry in passed.entries:
        if passes == "queries":
            hopped += sum(entry.num_latents * len(one.kept_tokens) * my_heads * width * size for one in passed_on)
            row = my_heads * (width * size + _LSE_BYTES)
            returned += sum(entry.num_latents * len(one.kept_tokens) * row for one in others)
        else:
            row = sum(prod(mine.layout(attended.layout).fields[name].shape) * size for name in BY_HEADS)
            hopped += sum(entry.num_visible_latents * len(one.kept_tokens) * row for one in passed_on)
    return LayerTraffic(exchanged=exchanged, restored=restored, hopped=hopped, returned=returned)


def _kept(peer: Share, attended: Attended) -> int:
    """Values that a rank keeps of each token."""
    return sum(prod(field.shape) for field in peer.layout(attended.layout).fields.values())
