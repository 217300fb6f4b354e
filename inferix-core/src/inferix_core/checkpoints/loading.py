"""Checkpoints to modules: every tensor is checked by name, shape and dtype before one is copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from loguru import logger
from torch import Tensor, nn

from inferix_core.checkpoints.diagnosis import differences, mistaken_for
from inferix_core.checkpoints.family import Family
from inferix_core.checkpoints.opening import Checkpoint, open_checkpoint
from inferix_core.checkpoints.tensors import LazyTensor, Shape
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import CheckpointError
from inferix_core.weights import assign_weights

Rename = Callable[[str], str | None]
"""What the module calls a tensor of the checkpoint; None for one that the module does without."""

DtypeOf = Callable[[str], torch.dtype | None]
"""The dtype in which a tensor is to stay, by name; None for that of the file."""


def check_weights(
    module: nn.Module,
    path: str | Path,
    *,
    family: Family,
    rename: Rename | None = None,
    state_dict: str | None = None,
    places: Sequence[str] | None = None,
    expected: Mapping[str, Shape] | None = None,
) -> None:
    """Finds out whether a checkpoint fits the module, which may be on the meta device, without reading the weights.

    See `load_weights`. Raises `CheckpointError` that says what the checkpoint is if it is another network's, or names
    the tensors which are missing, unexpected, or of another shape or dtype.
    """
    expected = expected or _shapes(module)
    with open_checkpoint(Path(path), places=_places(expected, family, places), state_dict=state_dict) as checkpoint:
        _check(expected, _named(checkpoint, family, rename), path=Path(path), what=type(module).__name__, family=family)


def load_weights(
    module: nn.Module,
    path: str | Path,
    *,
    family: Family,
    device: torch.device,
    dtype: torch.dtype | DtypeOf,
    quantizer: Quantizer | None = None,
    rename: Rename | None = None,
    state_dict: str | None = None,
    places: Sequence[str] | None = None,
    expected: Mapping[str, Shape] | None = None,
) -> None:
    """Puts a checkpoint's weights in place of the module's, ready to run without gradients.

    The module is best built on the meta device, if all its state is in its state dict. Tensors go to `device` one
    by one, so that peak memory is about one copy in `dtype`, or as the quantizer packs it. Accepted are torch files,
    safetensors, a sharded index, and a folder with one of these or in a layout of the `family`, in which the module's
    part is found, or what lies at the `places`; `open_checkpoint` says what becomes of names and which `state_dict` of
    several is taken. `expected` are the tensors of a checkpoint that was packed before, which the quantizer takes as
    they are; else they are those of the module.

    Raises as `check_weights`, and then leaves the module as it was.
    """
    expected = expected or _shapes(module)
    dtype_of = dtype if callable(dtype) else lambda name: dtype
    with open_checkpoint(Path(path), places=_places(expected, family, places), state_dict=state_dict) as checkpoint:
        found = _named(checkpoint, family, rename)
        _check(expected, found, path=Path(path), what=type(module).__name__, family=family)
        _tell_choice(checkpoint)
        arriving = ((name, _loaded(found[name], device=device, dtype=dtype_of(name))) for name in expected)
        assign_weights(module, arriving, quantizer=quantizer)
    module.to(device)  # what is not in the state dict


def _shapes(module: nn.Module) -> dict[str, Shape]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _places(expected: Mapping[str, Shape], family: Family, places: Sequence[str] | None) -> Sequence[str]:
    if places is not None:
        return places
    kind = family.recognised(expected)
    return () if kind is None else family.places.get(kind.part, ())


def _named(checkpoint: Checkpoint, family: Family, rename: Rename | None) -> Mapping[str, LazyTensor]:
    """The tensors under the names that the module has for them."""
    found = family.official(checkpoint.tensors)
    if rename is None:
        return found
    names = {name: rename(name) for name in found}
    return {new: found[name] for name, new in names.items() if new is not None}


def _loaded(tensor: LazyTensor, *, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    # A copy even where nothing changes: a view of the mapped file would keep it open and page it in on demand.
    value = tensor.read()
    return value.to(device=device, dtype=dtype or value.dtype, copy=True)


def _tell_choice(checkpoint: Checkpoint) -> None:
    if len(checkpoint.state_dicts) > 1:
        held = ", ".join(checkpoint.state_dicts)
        logger.info(f"'{checkpoint.files[0]}' holds {held}: the weights are '{checkpoint.state_dict}'.")


def _check(
    expected: Mapping[str, Shape], found: Mapping[str, LazyTensor], *, path: Path, what: str, family: Family
) -> None:
    problems = differences(expected, found, accepted_dtypes=family.dtypes)
    if not problems:
        return
    begins = f"'{path}' does not fit {what}, which has {len(expected)} tensors."
    mistake = mistaken_for(expected, found, family=family)
    if mistake is not None:
        raise CheckpointError(f"{begins} {mistake}")
    raise CheckpointError(
        f"{begins} {'. '.join(problems)}. "
        "Check that the file is the right model's and complete, and that the configured size matches it."
    )
