"""Which plans can be executed together."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.plan import Op, Pass, Prefill, Restart


def plan_shape(plan: Sequence[Op]) -> tuple[object, ...]:
    """What two plans must have in common for their worlds to share every pass."""
    return tuple(_op_shape(op) for op in plan)


def grouped(plans: Sequence[Sequence[Op]]) -> list[list[int]]:
    """The indices of plans that can be executed together."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, plan in enumerate(plans):
        groups.setdefault(plan_shape(plan), []).append(index)
    return list(groups.values())


def _op_shape(op: Op) -> tuple[object, ...]:
    if isinstance(op, Prefill):
        return ("prefill", len(op.entry.latents), op.entry.branch, op.cache, op.step_size)
    if isinstance(op, Restart):
        carry = None if op.carry is None else (len(op.carry.latents), op.carry.branch)
        return ("restart", carry, op.cache, op.from_anchor)
    if not isinstance(op, Pass):
        return (type(op).__name__,)
    first = op.entries[0].block
    entries = tuple((e.block - first, len(e.latents), e.branch, e.reads_cache, e.weight == 0.0) for e in op.entries)
    blocks = (tuple(u.block - first for u in op.updates), tuple(b - first for b in op.commits))
    return ("pass", op.cache, op.step_size, entries, blocks, tuple(b - first for b in op.finishes))
