"""The summary as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

_MOST_WORLDS = 8


def tables(summary: Mapping[str, Any]) -> Iterator[str | Table]:
    """A line of figures, then a table of spans and, where there are any, of worlds, own spans and metrics."""
    failed = f", {summary['num_failed_runs']} failed" if summary["num_failed_runs"] else ""
    yield (
        f"trace: {summary['num_blocks']} blocks{failed}, {summary['num_frames']} frames in "
        f"{summary['wall_seconds']:.2f} s: {summary['frames_per_second']:.1f} frames/s"
    )
    yield _spans("span", summary["spans"])
    if len(summary["worlds"]) > 1:
        yield _worlds(summary["worlds"])
    if summary["own_spans"]:
        yield _spans("own span", summary["own_spans"])
    if summary["metrics"]:
        yield _metrics(summary["metrics"])


def _spans(title: str, spans: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table(title, "count", "total s", "mean ms", "longest ms", "share")
    for name, span in spans.items():
        table.add_row(
            name,
            str(span["count"]),
            f"{span['seconds']:.2f}",
            f"{1000.0 * span['seconds'] / span['count']:.2f}",
            f"{1000.0 * span['longest_seconds']:.2f}",
            f"{span['share']:.1%}",
        )
    return table


def _worlds(worlds: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("world", "blocks", "frames", "decode s", "write s")
    for name, world in list(worlds.items())[:_MOST_WORLDS]:
        seconds = world["seconds"]
        table.add_row(
            name,
            str(world["num_blocks"]),
            str(world["num_frames"]),
            f"{seconds.get('decode', 0.0):.2f}",
            f"{seconds.get('write', 0.0):.2f}",
        )
    if len(worlds) > _MOST_WORLDS:
        table.add_row(f"… {len(worlds) - _MOST_WORLDS} more")
    return table


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("metric", "count", "mean", "min", "max", "last")
    for name, metric in metrics.items():
        figures = (f"{metric[key]:.6g}" for key in ("mean", "min", "max", "last"))
        table.add_row(name, str(metric["count"]), *figures)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
