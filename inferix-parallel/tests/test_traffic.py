"""The formulas of what is sent, against what a pass hands to torch.distributed."""

from collections.abc import Sequence
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from inferix_core.contracts.parallel import Ranks
from inferix_core.contracts.workload import EntryShape, PassShape
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.specs import ComponentConfig
from inferix_core.testing.ranks import on_ranks
from inferix_parallel.configuration import Passing
from inferix_parallel.degrees import Degrees
from inferix_parallel.sequence import SequenceParallel
from torch import Tensor

NUM_TOKENS, WIDTH = 7, 8  # tokens that no number of ranks here divides
PASSED = PassShape((EntryShape(2, 5),))


class Counter:
    """Adds up the bytes that this rank sends to others."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.num_bytes = 0

    def all_to_all_single(self, received: Tensor, sent: Tensor, **options: object) -> object:
        sizes, group = options["input_split_sizes"], options["group"]
        assert isinstance(sizes, list)
        place = dist.get_process_group_ranks(group).index(self.rank)  # type: ignore[arg-type]
        self.num_bytes += (sum(sizes) - sizes[place]) * sent.element_size()
        return self._all_to_all_single(received, sent, **options)

    def batch_isend_irecv(self, operations: Sequence[dist.P2POp]) -> object:
        self.num_bytes += sum(
            one.tensor.numel() * one.tensor.element_size() for one in operations if one.op is dist.isend
        )
        return self._batch_isend_irecv(operations)

    _all_to_all_single = staticmethod(dist.all_to_all_single)
    _batch_isend_irecv = staticmethod(dist.batch_isend_irecv)


def layout(num_kv_heads: int) -> KVLayout:
    shape = FieldShape((num_kv_heads, WIDTH))
    return KVLayout(1, NUM_TOKENS, {"k": shape, "v": shape})


def sent_and_said(
    ranks: Ranks, degrees: Degrees, passes: Passing, num_heads: int, num_kv_heads: int, dtype: torch.dtype
) -> tuple[int, Sequence[int]]:
    """What one layer of `PASSED` sent from this rank, and what the strategy says of all."""
    strategy = SequenceParallel(degrees, ranks=ranks, layout=layout(num_kv_heads), num_heads=num_heads, passes=passes)
    share, (entry,) = strategy.shares[ranks.rank], PASSED.entries
    num_mine = entry.num_latents * len(share.tokens)
    q = torch.randn(1, num_mine, num_heads, WIDTH).to(dtype)
    kept = {name: torch.randn(1, num_mine, num_kv_heads, WIDTH).to(dtype) for name in ("k", "v")}
    num_seen = entry.num_visible_latents * len(share.kept_tokens)
    counter = Counter(ranks.rank)
    with (
        patch.object(dist, "all_to_all_single", counter.all_to_all_single),
        patch.object(dist, "batch_isend_irecv", counter.batch_isend_irecv),
    ):
        q, _ = strategy.exchange(q, kept)
        seen = {name: torch.randn(1, num_seen, len(share.heads(num_kv_heads)), WIDTH).to(dtype) for name in ("k", "v")}
        strategy.restore(strategy.attend(q, [seen], backend=SdpaBackend(ComponentConfig()), scale=0.3))
    return counter.num_bytes, strategy.num_bytes_sent(PASSED, dtype=dtype)


@pytest.mark.parametrize(
    ("degrees", "passes"),
    [
        (Degrees(ulysses=2), "queries"),
        (Degrees(ring=3), "queries"),
        (Degrees(ring=3), "keys"),
        (Degrees(ring=2, ulysses=2), "queries"),
        (Degrees(ring=2, ulysses=2), "keys"),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize(("num_heads", "num_kv_heads"), [(4, 4), (4, 1)], ids=str)
def test_ranks_send_exactly_what_the_formula_says(
    degrees: Degrees, passes: Passing, num_heads: int, num_kv_heads: int
) -> None:
    dtype = torch.bfloat16 if passes == "queries" else torch.float32
    answers = on_ranks(degrees.num_ranks, sent_and_said, degrees, passes, num_heads, num_kv_heads, dtype)
    sent = [one for one, _ in answers]
    assert all(list(said) == sent for _, said in answers)
    assert min(sent) > 0
