"""Reading a world file: its manifest first, its tensors once they were found to be what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from inferix_core.errors import WorldFileError
from inferix_core.worldfile.dtypes import STORED_DTYPES
from inferix_core.worldfile.header import LENGTH_SIZE, header_length, manifest_in
from inferix_core.worldfile.manifest import Manifest, TensorEntry

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 2**20
_PROBE = 64


class WorldFile:
    """An open world file whose header holds together. Made by `opened`."""

    def __init__(self, path: Path, file: BinaryIO, manifest: Manifest, *, start: int, num_bytes: int) -> None:
        self.path = path
        self.manifest = manifest
        self.num_bytes = num_bytes
        self._file = file
        self._places: dict[str, tuple[int, TensorEntry]] = {}
        for entry in manifest.tensors:
            self._places[entry.name] = (start, entry)
            start += entry.num_bytes

    def verify(self) -> None:
        """Reads every byte; raises `WorldFileError` that names the tensor which is not the one that was written."""
        with _reading(self.path):
            for place, entry in self._places.values():
                if self._digest(place, entry.num_bytes) != entry.sha256:
                    raise self.damage(f"the tensor '{entry.name}' is not the one that was written")

    def entry(self, name: str) -> TensorEntry:
        """What the manifest says of a tensor. Raises `WorldFileError` for one that is missing."""
        if name not in self._places:
            raise self.damage(f"the tensor '{name}' is missing")
        return self._places[name][1]

    def tensor(self, name: str) -> Tensor:
        """The tensor on the CPU, with memory of its own and the order of axes that it had."""
        import torch  # a file is described without it

        entry = self.entry(name)
        dtype: torch.dtype = getattr(torch, STORED_DTYPES[entry.dtype].torch_name)
        values = torch.empty(entry.shape, dtype=dtype)
        if entry.num_bytes:
            with _reading(self.path):
                self._file.seek(self._places[name][0])
                # Through a flat view of bytes, since numpy has no name for some of the dtypes.
                num_read = self._file.readinto(values.view(-1).view(torch.uint8).numpy())  # type: ignore[attr-defined]
            if num_read != entry.num_bytes:
                raise self.damage(f"the tensor '{name}' is cut off")
        if entry.order is None:
            return values
        if sorted(entry.order) != list(range(values.dim())):
            raise self.damage(f"the axes of the tensor '{name}' have no order")
        return values.permute([entry.order.index(axis) for axis in range(values.dim())])

    def damage(self, what: str) -> WorldFileError:
        """The error for a file in which something is wrong."""
        return WorldFileError(f"'{self.path}': {what}. The file is damaged; take a copy that is whole.")

    def _digest(self, place: int, num_bytes: int) -> str:
        digest, missing = hashlib.sha256(), num_bytes
        self._file.seek(place)
        while missing and (chunk := self._file.read(min(_CHUNK, missing))):
            digest.update(chunk)
            missing -= len(chunk)
        return digest.hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[WorldFile]:
    """The world file at `path`, its header checked and its length too, its tensors not yet.

    Raises `WorldFileError` for a path at which there is none, saying what is there, and for a file that cannot be read.
    """
    with _reading(path):
        file = path.open("rb")
    with file:
        with _reading(path):
            world_file = _checked(path, file)
        yield world_file


def _checked(path: Path, file: BinaryIO) -> WorldFile:
    num_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = LENGTH_SIZE + header_length(path, file.read(_PROBE), num_bytes=num_bytes)
    file.seek(0)
    manifest = manifest_in(path, file.read(start))
    expected = start + sum(entry.num_bytes for entry in manifest.tensors)
    if num_bytes != expected:
        what = "is cut off" if num_bytes < expected else "goes on behind its end"
        raise WorldFileError(
            f"'{path}' {what}: it has {num_bytes} bytes and should have {expected}. Take a copy that is whole."
        )
    return WorldFile(path, file, manifest, start=start, num_bytes=num_bytes)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What the system says of a file, as `WorldFileError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise WorldFileError(f"There is no world file '{path}' (looked from {Path.cwd()}).") from error
    except IsADirectoryError as error:
        raise WorldFileError(f"'{path}' is a folder. Name the world file in it.") from error
    except OSError as error:
        raise WorldFileError(f"The world file '{path}' cannot be read: {error.strerror or error}.") from error
