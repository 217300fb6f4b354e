"""Checks of an output path that are made before anything is generated."""

from __future__ import annotations

from pathlib import Path

from inferix_core.errors import OutputError


def check_parent(path: Path) -> None:
    """Raises `OutputError` unless the folder that `path` shall lie in exists."""
    parent = path.parent
    if parent.is_dir():
        return
    found = "is a file, not a folder" if parent.exists() else "does not exist"
    raise OutputError(
        f"Cannot write '{path}': the folder '{parent}' {found}. "
        "Create the folder first, or choose a path in one that exists."
    )


def check_file(path: Path) -> None:
    """Raises `OutputError` if `path` is a folder or lies in none."""
    if path.is_dir():
        raise OutputError(
            f"Cannot write '{path}': it is a folder, and a file is needed here. Add a file name to the path."
        )
    check_parent(path)


def refusal(path: Path, error: OSError) -> OutputError:
    """The error for a path that the operating system does not let us write."""
    reason = error.strerror or str(error)
    return OutputError(
        f"Cannot write '{path}': {reason}. "
        f"Choose a path that you may write to, or change the permissions of '{path.parent}'."
    )
