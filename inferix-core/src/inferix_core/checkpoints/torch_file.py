"""Torch files: mapped into memory, and never unpickled beyond tensors."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from loguru import logger
from torch import Tensor

from inferix_core.checkpoints.tensors import LazyTensor, damaged
from inferix_core.errors import CheckpointError

NESTS = ("generator_ema", "generator", "model", "state_dict")
"""Where trainers put state dicts, the one that is taken by itself first: the averaged weights."""

_ARCHIVE = b"PK\x03\x04"
_FAILURES = (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError, AttributeError, ImportError)


def open_torch(path: Path, *, state_dict: str | None = None) -> tuple[dict[str, LazyTensor], str | None, list[str]]:
    """The tensors of a file by name, the name of the state dict they were in (None if bare), and all those there are.

    `state_dict` names the one to take; left out, it is the first of `NESTS` in the file.
    Raises `CheckpointError` for a file that is damaged, would run code, or has no such state dict.
    """
    content = _content(path)
    nests = _nests(content)
    taken = state_dict
    if taken is None:
        taken = next((name for name in NESTS if name in nests), None)
    elif taken not in nests:
        found = f"it has {', '.join(nests)}" if nests else "its tensors are in none"
        raise CheckpointError(f"'{path}' has no state dict '{taken}': {found}. Choose one of those, or leave it out.")
    tensors = _tensors(content if taken is None else content[taken])
    if not tensors and taken is not None:
        tensors = _tensors(_innermost(content[taken]))
    if not tensors:
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f"'{path}' holds no state dict (found: {keys}). Accepted is a state dict, bare or under {', '.join(NESTS)}."
        )
    return {name: _lazy(tensor) for name, tensor in tensors.items()}, taken, nests


def is_archive(path: Path) -> bool:
    """Whether the file has the format of torch 1.6 and later, which can be mapped instead of read.

    Raises `CheckpointError` for one that begins like it and does not end like it, or is empty.
    """
    with path.open("rb") as file:
        start = file.read(len(_ARCHIVE))
    whole = zipfile.is_zipfile(path)
    if not start or (start == _ARCHIVE and not whole):
        raise CheckpointError(f"{damaged(path)} (its end is missing).")
    return whole


def _content(path: Path) -> Any:
    mapped = is_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except _FAILURES as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if mapped and isinstance(error, pickle.UnpicklingError):
            raise CheckpointError(
                f"'{path}' holds more than tensors and was not opened, since that could run code ({reason}). "
                "Get it as safetensors, or save its state dict alone."
            ) from error
        raise CheckpointError(f"{damaged(path)}, or holds more than tensors ({reason}).") from error
    if not mapped:
        logger.warning(
            f"'{path}' has the format of torch before 1.6, which cannot be mapped: all of it was read into memory. "
            "Save it anew with torch.save to need half as much."
        )
    return content


def _nests(content: object) -> list[str]:
    if not isinstance(content, Mapping):
        return []
    return [str(name) for name, value in content.items() if isinstance(value, Mapping)]


def _innermost(content: object) -> object:
    """Out of further nests."""
    while isinstance(content, Mapping):
        name = next((name for name in NESTS if isinstance(content.get(name), Mapping)), None)
        if name is None:
            break
        content = content[name]
    return content


def _tensors(content: object) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _lazy(tensor: Tensor) -> LazyTensor:
    read: Callable[[], Tensor] = lambda: tensor  # noqa: E731
    return LazyTensor(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), read)
