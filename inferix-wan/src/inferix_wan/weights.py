"""Checkpoints to modules: every tensor is checked by name, shape and dtype before one is copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import CheckpointError
from inferix_core.weights import assign_weights
from loguru import logger
from torch import Tensor, nn

from inferix_wan.checkpoints.diagnosis import differences, mistaken_for
from inferix_wan.checkpoints.kinds import recognised
from inferix_wan.checkpoints.locate import Part
from inferix_wan.checkpoints.opening import Checkpoint, open_checkpoint
from inferix_wan.checkpoints.tensors import LazyTensor, Shape

Rename = Callable[[str], str | None]
"""What the module calls a tensor of the checkpoint; None for one that the module does without."""


def check_weights(
    module: nn.Module, path: str | Path, *, rename: Rename | None = None, state_dict: str | None = None
) -> None:
    """Finds out whether a checkpoint fits the module, which may be on the meta device, without reading the weights.

    Raises `CheckpointError` that says what the checkpoint is if it is another network's, or names the tensors which
    are missing, unexpected, or of another shape or dtype.
    """
    with open_checkpoint(Path(path), part=_part_of(module), state_dict=state_dict) as checkpoint:
        _check(module, _renamed(checkpoint.tensors, rename), path=Path(path))


def load_weights(
    module: nn.Module,
    path: str | Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None = None,
    rename: Rename | None = None,
    state_dict: str | None = None,
) -> None:
    """Puts a checkpoint's weights in place of the module's, ready to run without gradients.

    The module is best built on the meta device, if all its state is in its state dict. Tensors go to `device` one
    by one, so that peak memory is about one copy in `dtype`, or as the quantizer packs it. Accepted are torch files,
    safetensors, a sharded index, and a folder with one of these or in an official layout, in which the module's part
    is found; `open_checkpoint` says what becomes of names and which `state_dict` of several is taken.

    Raises as `check_weights`, and then leaves the module as it was.
    """
    with open_checkpoint(Path(path), part=_part_of(module), state_dict=state_dict) as checkpoint:
        found = _renamed(checkpoint.tensors, rename)
        _check(module, found, path=Path(path))
        _tell_choice(checkpoint)
        names = list(module.state_dict())
        arriving = ((name, _loaded(found[name], device=device, dtype=dtype)) for name in names)
        assign_weights(module, arriving, quantizer=quantizer)
    module.to(device)  # what is not in the state dict


def _part_of(module: nn.Module) -> Part | None:
    kind = recognised(_shapes(module))
    return None if kind is None else kind.part


def _shapes(module: nn.Module) -> dict[str, Shape]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _renamed(found: Mapping[str, LazyTensor], rename: Rename | None) -> Mapping[str, LazyTensor]:
    if rename is None:
        return found
    names = {name: rename(name) for name in found}
    return {new: found[name] for name, new in names.items() if new is not None}


def _loaded(tensor: LazyTensor, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    # A copy even where nothing changes: a view of the mapped file would keep it open and page it in on demand.
    return tensor.read().to(device=device, dtype=dtype, copy=True)


def _tell_choice(checkpoint: Checkpoint) -> None:
    if len(checkpoint.state_dicts) > 1:
        held = ", ".join(checkpoint.state_dicts)
        logger.info(f"'{checkpoint.files[0]}' holds {held}: the weights are '{checkpoint.state_dict}'.")


def _check(module: nn.Module, found: Mapping[str, LazyTensor], *, path: Path) -> None:
    expected = _shapes(module)
    problems = differences(expected, found)
    if not problems:
        return
    begins = f"'{path}' does not fit {type(module).__name__}, which has {len(expected)} tensors."
    mistake = mistaken_for(expected, found)
    if mistake is not None:
        raise CheckpointError(f"{begins} {mistake}")
    raise CheckpointError(
        f"{begins} {'. '.join(problems)}. "
        "Check that the file is the right model's and complete, and that the configured size matches it."
    )
