"""Writing what was measured, whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferix_core.errors import OutputError, WriteError


def check_folder(path: str, *, key: str) -> None:
    """Raises `OutputError` if the file could not be written at the end: better said before anything is generated."""
    folder = Path(path).parent
    if not folder.is_dir() or Path(path).is_dir():
        what = f"'{path}' is a folder" if Path(path).is_dir() else f"there is no folder '{folder}'"
        raise OutputError(f"profilers: {key} = '{path}' cannot be written: {what}. Create it, or choose another.")


def write_json(path: str, data: Any) -> None:
    """Writes `data` beside the file and renames it. Raises `WriteError` and leaves an older file if that fails."""
    target = Path(path)
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        unfinished.write_text(json.dumps(_finite(data), allow_nan=False), encoding="utf-8")
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise WriteError(f"What was measured cannot be written to '{path}': {error}.") from error


def _finite(data: Any) -> Any:
    """The data with null for numbers that JSON has no word for."""
    if isinstance(data, Mapping):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
