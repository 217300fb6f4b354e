"""Checks of an output path that are made before anything is generated."""

from __future__ import annotations

from pathlib import Path

from inferix_core.errors import OutputError


def check_file(path: Path) -> None:
    """Raises `OutputError` if `path` is a folder or cannot lie where it says."""
    check_parent(path)
    if _is_folder(path):
        raise OutputError(
            f"Cannot write '{path}': it is a folder, and a file is needed here. Add a file name to the path."
        )


def check_folder(path: Path) -> None:
    """Raises `OutputError` if `path` is a file or cannot lie where it says."""
    check_parent(path)
    if not _is_folder(path) and path.exists():
        raise OutputError(
            f"Cannot write frames to '{path}': it is a file, and a folder is needed here. "
            "Choose another name, or remove the file."
        )


def check_parent(path: Path) -> None:
    """Raises `OutputError` unless the folder that `path` shall lie in exists."""
    parent = path.parent
    if _is_folder(parent):
        return
    found = "is a file, not a folder" if parent.exists() else "does not exist"
    raise OutputError(
        f"Cannot write '{path}': the folder '{parent}' {found}. "
        "Create the folder first, or choose a path in one that exists."
    )


def refusal(path: Path, error: OSError) -> OutputError:
    """The error for a path that the operating system does not let us write."""
    reason = error.strerror or str(error)
    return OutputError(
        f"Cannot write '{path}': {reason}. "
        f"Choose a path that you may write to, or change the permissions of '{path.parent}'."
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise refusal(path, error) from error
