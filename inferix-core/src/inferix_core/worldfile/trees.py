"""Plain data as JSON and back: None, numbers, strings, tensors, and tuples, lists and dicts of them.

A list is a JSON list; `{"tuple": [...]}`, `{"dict": {...}}` and `{"tensor": name}` are the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from inferix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.worldfile.manifest import Tree


def tree_of(value: Any, *, where: str, name_of: Callable[[Tensor, str], str]) -> Tree:
    """`value` as JSON; `name_of` is told of each tensor and where it is, and gives the name that stands for it.

    Raises `UnsupportedError` for what is no plain data, saying where it is. Subclasses are none: they would not come
    back.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is torch.Tensor:
        return {"tensor": name_of(value, where)}
    if type(value) is list or type(value) is tuple:
        parts = [tree_of(part, where=f"{where}.{index}", name_of=name_of) for index, part in enumerate(value)]
        return parts if type(value) is list else {"tuple": parts}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: tree_of(part, where=f"{where}.{key}", name_of=name_of) for key, part in value.items()}}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise UnsupportedError(
        f"{where} cannot be saved: it is a {kind}{' whose keys are not all strings' if type(value) is dict else ''}. "
        "What decoders and solvers carry on must be None, numbers, strings, tensors, or tuples, lists and dicts of "
        "these with string keys."
    )


def value_of(tree: Tree, *, tensor: Callable[[str], Tensor]) -> Any:
    """The value of which `tree_of` made `tree`. Raises `ValueError` for a tree that it cannot have made."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, list):
        return [value_of(part, tensor=tensor) for part in tree]
    if isinstance(tree, dict) and len(tree) == 1:
        ((kind, content),) = tree.items()
        if kind == "tensor" and isinstance(content, str):
            return tensor(content)
        if kind == "tuple" and isinstance(content, list):
            return tuple(value_of(part, tensor=tensor) for part in content)
        if kind == "dict" and isinstance(content, dict):
            return {key: value_of(part, tensor=tensor) for key, part in content.items()}
    raise ValueError(f"no plain data: {str(tree)[:60]}")


def copy_through_tree(value: Any) -> Any:
    """What comes back when `value` is saved and loaded: equal, with tensors of its own.

    Raises `UnsupportedError` as `tree_of` does.
    """
    tensors: dict[str, Tensor] = {}

    def name_of(tensor: Tensor, where: str) -> str:
        tensors[where] = tensor.detach().clone()
        return where

    tree = tree_of(value, where="the state", name_of=name_of)
    return value_of(tree, tensor=tensors.__getitem__)
