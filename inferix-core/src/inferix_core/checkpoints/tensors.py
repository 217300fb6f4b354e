"""What is known of a checkpoint's tensors before they are read; free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]

BYTES_PER_VALUE: Mapping[str, int] = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
"""The dtypes that are known, by torch's names."""


@dataclass(frozen=True, slots=True)
class LazyTensor:
    """A tensor of a checkpoint, known by shape and dtype (torch's name) and read on demand."""

    shape: Shape
    dtype: str
    read: Callable[[], Tensor]

    @property
    def num_bytes(self) -> int:
        """What its values take; 0 where the dtype is unknown."""
        return prod(self.shape) * BYTES_PER_VALUE.get(self.dtype, 0)


def damaged(path: Path) -> str:
    """The beginning of a message about a file that does not end where it says, or is not what its name says."""
    return f"'{path}' ({path.stat().st_size} bytes) is truncated or damaged: download or copy it again"
