"""A file that is complete or not there."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

from inferix_core.errors import OutputError, WriteError

if sys.platform != "win32":
    import fcntl

_SECONDS_TO_RENAME = 60


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of `path` when the body ends well; until then nothing is changed.

    It lies beside `path` as `.<name>.<random>.part` and is on the disk before it is renamed. A body that raises leaves
    none; a process that is killed does, and the next one that writes `path` removes it. Where `path` is a link, what
    it points to is replaced. Raises `OutputError` for a path that cannot be written, and `WriteError` where writing
    fails, e.g. for a full disk.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    _remove_leftovers(target)
    try:
        part, file = _new_part(target)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror}.") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":  # where an open file cannot be renamed
                part.replace(target)
        if sys.platform == "win32":
            part.replace(target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            kept = " The file that was there is as it was." if target.exists() else ""
            raise WriteError(f"Writing '{path}' failed: {error.strerror}.{kept} Make room and try again.") from error
        raise
    _sync_folder(target.parent)


def check_writable(path: Path) -> None:
    """Raises `OutputError` for what a file cannot take the place of; of a link, that is what it points to."""
    target = Path(os.path.realpath(path))
    try:
        if not target.parent.is_dir():
            folder = target.parent if path.is_symlink() else path.parent
            raise _refusal(path, f"there is no folder '{folder}'. Create it, or choose another")
        if target.is_dir():
            raise _refusal(path, "it is a folder. Give the name of a file")
        if target.exists() and not target.is_file():
            raise _refusal(path, "it is no ordinary file. Choose another name")
        if target.exists() and not os.access(target, os.W_OK):
            raise _refusal(path, "its permissions forbid it. Change them, or choose another name")
    except OSError as error:
        raise _refusal(path, f"{error.strerror}") from error


def _refusal(path: Path, why: str) -> OutputError:
    return OutputError(f"'{path}' cannot be written: {why}.")


def _new_part(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `target`, open and locked for as long as it is open."""
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        file = part.open("xb")
        _lock(file)
        if sys.platform == "win32" or os.fstat(file.fileno()).st_nlink:
            return part, file
        file.close()  # another process took it for a leftover before it was locked


def _remove_leftovers(target: Path) -> None:
    """Removes what processes left beside `target` that were killed while they wrote it, not what is being written."""
    for part in target.parent.glob(f".{escape(target.name)}.{'[0-9a-f]' * 8}.part"):
        with suppress(OSError):  # it belongs to someone else, or is gone by now
            if sys.platform == "win32":  # there an open file cannot be removed; one that was just closed is renamed
                if time.time() - part.stat().st_mtime > _SECONDS_TO_RENAME:
                    part.unlink()
            else:
                with part.open("r+b") as file:
                    if _lock(file):
                        part.unlink()


def _lock(file: BinaryIO) -> bool:
    """Whether the file is this process's alone now, until it is closed; False where the file system has no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Puts the new name on the disk, where the system can be told to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
