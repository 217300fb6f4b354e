"""Workloads and topologies of round numbers, for the tests beside this file."""

from __future__ import annotations

from typing import Any

from inferix_core.contracts.workload import EntryShape, Outline, PassShape, Workload
from inferix_core.plan import FieldShape, Geometry, KVLayout
from inferix_parallel.topology import Link, Topology

FAST = Link(1e-5, 3e11)
SLOW = Link(1e-4, 1e9)


def workload(
    *, num_heads: int = 12, num_layers: int = 30, num_tokens: int = 1560, num_entries: int = 1, **changes: Any
) -> Workload:
    """Blocks of 3 latents that see 21, in 5 passes; `num_entries` blocks in each of them."""
    field = FieldShape((num_heads, 128))
    width = 128 * num_heads
    outline = Outline(
        geometry=Geometry((16, 60, 104), num_tokens, 480, 832, 16.0),
        layout=KVLayout(num_layers, num_tokens, {"k": field, "v": field}),
        num_heads=num_heads,
        width=width,
        num_layer_weights=18 * width**2,
        num_weights=18 * width**2 * num_layers,
    )
    passes = (PassShape((EntryShape(3, 21),) * num_entries),) * 5
    given = {"outline": outline, "passes": passes, "num_held_latents": 21, "item_bytes": 2}
    return Workload(**{**given, **changes})


def topology(num_ranks: int, **changes: Any) -> Topology:
    """Ranks of one machine with fast links between them."""
    given = {"num_ranks": num_ranks, "within": FAST, "between": SLOW, "flops_per_second": 4e14}
    return Topology(**{**given, **changes})
