"""Copies and comparisons of what components are given and give: tensors in nested containers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested mappings, sequences, dataclasses and plain objects, in a fixed order."""
    yield from _tensors(value, seen=set())


def copies_of(value: Any) -> list[Tensor]:
    """A copy of every tensor in `value`, to compare with later."""
    return [tensor.detach().clone() for tensor in tensors_in(value)]


def is_unchanged(value: Any, copies: Sequence[Tensor]) -> bool:
    """Whether the tensors in `value` are those that `copies_of` copied."""
    now = list(tensors_in(value))
    return len(now) == len(copies) and all(torch.equal(one, copy) for one, copy in zip(now, copies, strict=True))


def _tensors(value: Any, *, seen: set[int]) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
        return
    if isinstance(value, (str, bytes, int, float, complex, type(None))) or id(value) in seen:
        return
    seen.add(id(value))
    parts: Sequence[Any] = ()
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, (Sequence, Set)):
        parts = list(value)
    elif dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif hasattr(value, "__dict__"):
        parts = list(vars(value).values())
    for part in parts:
        yield from _tensors(part, seen=seen)
