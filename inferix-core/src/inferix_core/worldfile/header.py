"""The first bytes of a world file: those of a safetensors file, fixed to the last byte by the manifest in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inferix_core import __version__
from inferix_core.errors import WorldFileError
from inferix_core.worldfile.manifest import FORMAT_VERSION, Manifest, TensorEntry

LENGTH_SIZE = 8
"""Bytes that say how long the header is, little-endian; tensors begin right behind it."""

_START = b'{"__metadata__":{"inferix":'
_ALIGNMENT = 8


def header_of(manifest: Manifest) -> bytes:
    """The length and the header, as they stand in the file. As long for one set of digests as for any other."""
    return header_around(manifest.to_json(), manifest.tensors)


def header_around(text: str, tensors: Iterable[TensorEntry]) -> bytes:
    """The length and the header for the text of a manifest, and the tensors that it names in their order."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    table: dict[str, Any] = {"__metadata__": {"inferix": text, "inferix.sha256": digest}}
    start = 0
    for tensor in tensors:
        end = start + tensor.num_bytes
        table[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end]}
        start = end
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return len(header).to_bytes(LENGTH_SIZE, "little") + header


def header_length(path: Path, start: bytes, *, num_bytes: int) -> int:
    """How many bytes the header takes behind its length, from the first bytes of a file of `num_bytes`.

    Raises `WorldFileError` for a file that is none, or that ends in its header.
    """
    if num_bytes == 0:
        raise WorldFileError(f"'{path}' is empty. It was cut off, or is no world file; {_TAKE_ANOTHER}.")
    found = start[LENGTH_SIZE : LENGTH_SIZE + len(_START)]
    if not found or not _START.startswith(found):
        if found.startswith(b"{") and num_bytes >= LENGTH_SIZE + len(_START):
            raise WorldFileError(f"'{path}' has no world in its header: another safetensors file, or {_DAMAGED}")
        raise WorldFileError(f"'{path}' is not a world file, or its first bytes are {_DAMAGED}")
    length = int.from_bytes(start[:LENGTH_SIZE], "little")
    if LENGTH_SIZE + length > num_bytes:
        raise WorldFileError(
            f"'{path}' is cut off, or its first bytes are damaged: its header would end at byte {LENGTH_SIZE + length}"
            f" and the file has {num_bytes}; {_TAKE_ANOTHER}."
        )
    return length


def manifest_in(path: Path, start: bytes) -> Manifest:
    """The manifest in the length and header of a file, every byte of which was checked.

    Raises `WorldFileError` for one that is damaged, or of another version.
    """
    text = _manifest_text(path, start[LENGTH_SIZE:])
    fields = _parsed(text)
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if not isinstance(version, int):
        raise WorldFileError(f"'{path}': the manifest names no format version. It is {_DAMAGED}")
    if version != FORMAT_VERSION:
        made_by = f"inferix-core {fields.get('core_version')}"
        raise WorldFileError(
            f"'{path}' was made by a newer inferix: format {version} of {made_by}; inferix-core {__version__} reads "
            f"format {FORMAT_VERSION}. Upgrade: pip install --upgrade inferix-core."
            if version > FORMAT_VERSION
            else f"'{path}' has format {version} of {made_by}, which inferix-core {__version__} does not read."
        )
    try:
        manifest = Manifest.model_validate(fields)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, one["loc"])) for one in error.errors()[:3])
        raise WorldFileError(f"'{path}': the manifest does not fit at {places}. It is {_DAMAGED}") from error
    if header_of(manifest) != start:
        raise WorldFileError(f"'{path}': the header is not the one that its manifest asks for. It is {_DAMAGED}")
    return manifest


def _manifest_text(path: Path, header: bytes) -> str:
    table = _parsed(header)
    metadata = table.get("__metadata__") if isinstance(table, dict) else None
    if not isinstance(metadata, dict) or not isinstance(text := metadata.get("inferix"), str):
        raise WorldFileError(f"'{path}': the header is {_DAMAGED}")
    if hashlib.sha256(text.encode(errors="replace")).hexdigest() != metadata.get("inferix.sha256"):
        raise WorldFileError(f"'{path}': the manifest is not the one that was written. It is {_DAMAGED}")
    return text


def _parsed(text: str | bytes) -> Any:
    """The JSON in a text, None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_TAKE_ANOTHER = "take a copy that is whole"
_DAMAGED = f"damaged; {_TAKE_ANOTHER}."
