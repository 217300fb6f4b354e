"""The containers of weights, opened without reading the weights: torch files, safetensors, shards, folders."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from inferix_core.errors import CheckpointError
from safetensors import SafetensorError, safe_open
from torch import Tensor

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_SAFETENSORS = ".safetensors"
_INDEX = ".safetensors.index.json"
_NESTS = ("generator_ema", "generator", "model", "state_dict")
_WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")
_PREFIXES = ("model.", "module.")


@dataclass(frozen=True, slots=True)
class LazyTensor:
    """A tensor of a checkpoint, known by shape and dtype and read on demand."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Mapping[str, LazyTensor]]:
    """The tensors of a checkpoint by name, readable inside the `with`.

    Of training checkpoints that nest several state dicts the averaged weights are taken (`generator_ema`, then
    `generator`, `model`, `state_dict`). Names lose what wrappers put into them and a prefix that all share.
    Raises `CheckpointError` if there is no such file, or it is damaged or of no known kind.
    """
    if not path.exists():
        raise CheckpointError(f"The checkpoint '{path}' does not exist. Give a file, a sharded index or a folder.")
    source = _only_checkpoint_of(path) if path.is_dir() else path
    with ExitStack() as stack:
        if source.name.endswith(_INDEX):
            tensors = _open_shards(source, stack)
        elif source.suffix == _SAFETENSORS:
            tensors = _open_safetensors(source, stack)
        elif source.suffix in _TORCH_SUFFIXES:
            tensors = _open_torch(source)
        else:
            raise CheckpointError(
                f"'{source}' is no known kind of checkpoint. Accepted: {', '.join(_TORCH_SUFFIXES)}, {_SAFETENSORS}, "
                f"an index '*{_INDEX}', or a folder with one of these."
            )
        yield _renamed(tensors, source)


def _only_checkpoint_of(folder: Path) -> Path:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    for suffixes in ((_INDEX,), (_SAFETENSORS,), _TORCH_SUFFIXES):
        matching = [name for name in names if name.endswith(suffixes)]
        if len(matching) == 1:
            return folder / matching[0]
        if matching:
            raise CheckpointError(f"The folder '{folder}' holds several checkpoints ({', '.join(matching)}): name one.")
    raise CheckpointError(
        f"The folder '{folder}' holds no checkpoint, but {', '.join(names[:8]) or 'nothing'}. Accepted: "
        f"{', '.join(_TORCH_SUFFIXES)}, {_SAFETENSORS}, or an index '*{_INDEX}' with its shards."
    )


def _open_safetensors(path: Path, stack: ExitStack) -> dict[str, LazyTensor]:
    try:
        file = stack.enter_context(safe_open(path, framework="pt"))
        names = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{_damaged(path)} ({error}).") from error
    return {name: _lazy_slice(file, name) for name in names}


def _lazy_slice(file: Any, name: str) -> LazyTensor:
    part = file.get_slice(name)
    dtype = _SAFETENSORS_DTYPES.get(part.get_dtype())
    return LazyTensor(tuple(part.get_shape()), dtype or file.get_tensor(name).dtype, lambda: file.get_tensor(name))


_SAFETENSORS_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def _open_shards(index: Path, stack: ExitStack) -> dict[str, LazyTensor]:
    try:
        shard_of = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(shard_of.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"'{index}' is no index of shards: it needs a table 'weight_map' ({error}).") from error
    absent = [shard for shard in shards if not (index.parent / shard).is_file()]
    if absent:
        raise CheckpointError(f"'{index}' names {len(shards)} shards, but {', '.join(absent)} are not beside it.")
    tensors: dict[str, LazyTensor] = {}
    for shard in shards:
        tensors |= _open_safetensors(index.parent / shard, stack)
    lost = [name for name in shard_of if name not in tensors]
    if lost:
        raise CheckpointError(f"'{index}' names {len(lost)} tensors that no shard holds, e.g. {', '.join(lost[:5])}.")
    return tensors


def _open_torch(path: Path) -> dict[str, LazyTensor]:
    # Only archives can be mapped, and a truncated archive no longer counts as one.
    is_archive = zipfile.is_zipfile(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{_damaged(path)}, or holds more than tensors ({reason}).") from error
    return {name: _lazy(tensor) for name, tensor in _state_dict(content, path).items()}


def _lazy(tensor: Tensor) -> LazyTensor:
    return LazyTensor(tuple(tensor.shape), tensor.dtype, lambda: tensor)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The state dict in a torch file, out of its nest."""
    nested = content
    while isinstance(nested, Mapping):
        nest = next((name for name in _NESTS if isinstance(nested.get(name), Mapping)), None)
        if nest is None:
            break
        nested = nested[nest]
    if isinstance(nested, Mapping):
        tensors = {str(name): value for name, value in nested.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
    raise CheckpointError(
        f"'{path}' holds no state dict (found: {keys}). Accepted is a state dict, bare or under {', '.join(_NESTS)}."
    )


def _renamed(tensors: Mapping[str, LazyTensor], path: Path) -> dict[str, LazyTensor]:
    """The tensors under the names that the network gives them."""
    names = {name: _unwrapped(name) for name in tensors}
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in names.values()):
            names = {name: short.removeprefix(prefix) for name, short in names.items()}
    if len(set(names.values())) < len(names):
        raise CheckpointError(
            f"'{path}' names some tensors twice, with and without a wrapper's prefix: export it anew."
        )
    return {short: tensors[name] for name, short in names.items()}


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _damaged(path: Path) -> str:
    return f"'{path}' ({path.stat().st_size} bytes) is truncated or damaged: download or copy it again"
