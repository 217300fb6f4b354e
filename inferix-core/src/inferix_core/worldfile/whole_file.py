"""A file that is complete or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from inferix_core.errors import OutputError, WriteError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of `path` when the body ends well; until then nothing is changed.

    It lies beside `path` as `.<name>.<random>.part` and is on the disk before it is renamed. A body that raises leaves
    none; a process that is killed does, and it may be deleted. Where `path` is a link, what it points to is replaced.
    Raises `OutputError` for a path that cannot be written, and `WriteError` where writing fails, e.g. for a full disk.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        _check_target(target, path)
        file = part.open("xb")
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror}.") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            kept = " The file that was there is as it was." if target.exists() else ""
            raise WriteError(f"Writing '{path}' failed: {error.strerror}.{kept} Make room and try again.") from error
        raise
    _sync_folder(target.parent)


def _check_target(target: Path, path: Path) -> None:
    """Raises `OutputError` for what a file cannot take the place of; `target` is where `path` leads."""
    if not target.parent.is_dir():
        raise OutputError(f"The folder '{target.parent}' of '{path}' does not exist. Create it first.")
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "no ordinary file"
        raise OutputError(f"'{path}' is {kind}. Name a file.")
    if target.exists() and not os.access(target, os.W_OK):
        raise OutputError(f"'{path}' may not be written. Choose another name or change its permissions.")


def _sync_folder(folder: Path) -> None:
    """Puts the new name on the disk, where the system can be told to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
