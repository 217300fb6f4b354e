"""How far a long job is, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def frames_progress(console: Console) -> Progress:
    """A bar of frames; its tasks have the fields `block` and `rate` (frames a second)."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} frames · block {task.fields[block]}"),
        TextColumn("{task.fields[rate]:.1f} frames/s ·"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    )


def blocks_progress(console: Console) -> Progress:
    """A bar of blocks."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} blocks ·"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    )


def seconds_progress(console: Console) -> Progress:
    """A bar of seconds of video."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s of video ·"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    )
