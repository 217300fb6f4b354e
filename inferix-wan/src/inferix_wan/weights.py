"""Checkpoint files to modules: every tensor is checked by name, shape and dtype before one is copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import CheckpointError
from inferix_core.weights import assign_weights
from torch import Tensor, nn

from inferix_wan.checkpoint_file import LazyTensor, open_checkpoint

_ACCEPTED_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NUM_NAMED = 5


def check_weights(module: nn.Module, path: str | Path) -> None:
    """Finds out whether a checkpoint fits the module, which may be on the meta device, without reading the weights.

    Raises `CheckpointError` that names the tensors which are missing, unexpected, or of another shape or dtype.
    """
    with open_checkpoint(Path(path)) as found:
        _check(module.state_dict(), found, path=Path(path), kind=type(module).__name__)


def load_weights(
    module: nn.Module,
    path: str | Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None = None,
) -> None:
    """Puts a checkpoint's weights in place of the module's, ready to run without gradients.

    The module is best built on the meta device, if all its state is in its state dict. Tensors go to `device` one
    by one, so that peak memory is about one copy in `dtype`, or as the quantizer packs it. Accepted are torch files,
    safetensors, a sharded index, and a folder with one of these; `open_checkpoint` says what is stripped from names.

    Raises as `check_weights`, and then leaves the module as it was.
    """
    expected = module.state_dict()
    with open_checkpoint(Path(path)) as found:
        _check(expected, found, path=Path(path), kind=type(module).__name__)
        arriving = ((name, _loaded(found[name], device=device, dtype=dtype)) for name in expected)
        assign_weights(module, arriving, quantizer=quantizer)
    module.to(device)  # what is not in the state dict


def _loaded(tensor: LazyTensor, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    # A copy even where nothing changes: a view of the mapped file would keep it open and page it in on demand.
    return tensor.read().to(device=device, dtype=dtype, copy=True)


def _check(expected: Mapping[str, Tensor], found: Mapping[str, LazyTensor], *, path: Path, kind: str) -> None:
    problems = []
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    common = [name for name in expected if name in found]
    if missing:
        problems.append(_problem("missing", missing))
    if unexpected:
        problems.append(_problem("unexpected", unexpected))
    shapes = [
        f"{name} is {list(found[name].shape)}, expected {list(expected[name].shape)}"
        for name in common
        if tuple(found[name].shape) != tuple(expected[name].shape)
    ]
    if shapes:
        problems.append(_problem("of another shape", shapes))
    dtypes = [
        f"{name} is {_dtype_name(found[name].dtype)}" for name in common if found[name].dtype not in _ACCEPTED_DTYPES
    ]
    if dtypes:
        accepted = ", ".join(_dtype_name(dtype) for dtype in _ACCEPTED_DTYPES)
        problems.append(f"{_problem('of another dtype', dtypes)}; accepted are {accepted}")
    if problems:
        raise CheckpointError(
            f"'{path}' does not fit {kind}, which has {len(expected)} tensors. {'. '.join(problems)}. "
            "Check that the file is the right model's and complete, and that the configured size matches it."
        )


def _problem(what: str, details: Sequence[str]) -> str:
    more = f"; and {len(details) - _NUM_NAMED} more" if len(details) > _NUM_NAMED else ""
    return f"{len(details)} {what}: {'; '.join(details[:_NUM_NAMED])}{more}"


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
