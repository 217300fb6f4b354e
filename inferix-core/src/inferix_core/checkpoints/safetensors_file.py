"""Safetensors files: names, shapes and dtypes without torch, values on demand."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.checkpoints.tensors import LazyTensor, damaged
from inferix_core.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_NUM_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def open_safetensors(path: Path, stack: ExitStack) -> dict[str, LazyTensor]:
    """The tensors of a file by name, readable until `stack` closes. Only the header is read here.

    Raises `CheckpointError` for a file that is shorter or longer than its header says, or has none.
    """
    file = _MappedFile(path, stack)
    try:
        return {
            name: LazyTensor(
                tuple(entry["shape"]), _DTYPES.get(entry["dtype"], entry["dtype"].lower()), file.reader(name)
            )
            for name, entry in _header(path).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointError(f"{damaged(path)} ({error}).") from error


def _header(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_NUM_LENGTH_BYTES), "little")
        if size < _NUM_LENGTH_BYTES or length > size - _NUM_LENGTH_BYTES:
            raise ValueError(f"its header would take {length} bytes")
        entries: dict[str, Any] = json.loads(file.read(length))
    entries.pop(_METADATA, None)
    expected = _NUM_LENGTH_BYTES + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if size != expected:
        raise ValueError(f"its header describes {expected} bytes")
    return entries


class _MappedFile:
    """The values of one file, mapped into memory when the first is read."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self._file: Any = None

    def reader(self, name: str) -> Any:
        """What reads the tensor of that name."""
        return lambda: self._read(name)

    def _read(self, name: str) -> Tensor:
        from safetensors import SafetensorError, safe_open  # needs torch, which names and shapes do without

        try:
            if self._file is None:
                self._file = self._stack.enter_context(safe_open(self._path, framework="pt"))
            tensor: Tensor = self._file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{damaged(self._path)} ({error}).") from error
        return tensor
