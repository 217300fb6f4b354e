"""What safetensors calls the dtypes of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class StoredDtype(NamedTuple):
    """The name in torch, and the bytes of one element."""

    torch_name: str
    itemsize: int


STORED_DTYPES: Mapping[str, StoredDtype] = {
    "BOOL": StoredDtype("bool", 1),
    "U8": StoredDtype("uint8", 1),
    "I8": StoredDtype("int8", 1),
    "F8_E4M3": StoredDtype("float8_e4m3fn", 1),
    "F8_E5M2": StoredDtype("float8_e5m2", 1),
    "U16": StoredDtype("uint16", 2),
    "I16": StoredDtype("int16", 2),
    "F16": StoredDtype("float16", 2),
    "BF16": StoredDtype("bfloat16", 2),
    "U32": StoredDtype("uint32", 4),
    "I32": StoredDtype("int32", 4),
    "F32": StoredDtype("float32", 4),
    "U64": StoredDtype("uint64", 8),
    "I64": StoredDtype("int64", 8),
    "F64": StoredDtype("float64", 8),
}
"""By the name in a file."""

STORED_NAMES: Mapping[str, str] = {dtype.torch_name: name for name, dtype in STORED_DTYPES.items()}
"""The name in a file, by the name in torch."""
