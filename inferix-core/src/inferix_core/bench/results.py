"""Where benches put what they measured: JSON and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.errors import OutputError, UnsupportedError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_targets(*, json_path: Path | None, plot: Path | None) -> None:
    """Raises `OutputError` or `UnsupportedError` for what could not be written after a long measurement."""
    for path in (json_path, plot):
        if path is not None and not path.parent.is_dir():
            raise OutputError(f"'{path}' cannot be written: there is no folder '{path.parent}'. Create it first.")
    if plot is not None:
        if plot.suffix != ".png":
            raise OutputError(f"The plot is a .png file; '{plot}' was asked for.")
        new_figure(width=1.0, height=1.0)


def new_figure(*, width: float, height: float) -> Figure:
    """An empty figure, in inches. Raises `UnsupportedError` where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            "A plot needs matplotlib, which is not installed. Try: pip install 'inferix-core[bench]'."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def write_json(measured: Mapping[str, Any], path: Path) -> None:
    """Writes a file that ends with a newline. Raises `OutputError`."""
    try:
        path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror}.") from error


def write_plot(figure: Figure, path: Path) -> None:
    """Writes a PNG. Raises `OutputError`."""
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror}.") from error
