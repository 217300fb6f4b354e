"""AMF0, the notation of RTMP's commands (Adobe, "Action Message Format -- AMF 0"): what RTMP needs of it."""

from __future__ import annotations

import struct
from collections.abc import Mapping

Value = float | bool | str | None | Mapping[str, "Value"]

NUMBER, BOOLEAN, STRING, OBJECT, NULL, UNDEFINED, ECMA_ARRAY, OBJECT_END = 0, 1, 2, 3, 5, 6, 8, 9


def encoded(*values: Value) -> bytes:
    """The values one after another."""
    return b"".join(_encoded(value) for value in values)


def decoded(data: bytes) -> list[Value]:
    """The values that lie one after another in `data`. Raises `ValueError` if it is damaged or of an unknown type."""
    values: list[Value] = []
    place = 0
    try:
        while place < len(data):
            value, place = _decoded(data, place)
            values.append(value)
    except (struct.error, IndexError) as error:
        raise ValueError(f"AMF0 data ends in the middle of a value, at byte {place} of {len(data)}") from error
    return values


def _encoded(value: Value) -> bytes:
    if value is None:
        return bytes([NULL])
    if isinstance(value, bool):
        return bytes([BOOLEAN, value])
    if isinstance(value, int | float):
        return struct.pack(">Bd", NUMBER, value)
    if isinstance(value, str):
        return bytes([STRING]) + _key(value)
    fields = b"".join(_key(name) + _encoded(field) for name, field in value.items())
    return bytes([OBJECT]) + fields + _key("") + bytes([OBJECT_END])


def _key(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _decoded(data: bytes, place: int) -> tuple[Value, int]:
    kind, place = data[place], place + 1
    if kind == NUMBER:
        return struct.unpack_from(">d", data, place)[0], place + 8
    if kind == BOOLEAN:
        return bool(data[place]), place + 1
    if kind == STRING:
        return _text(data, place)
    if kind in (NULL, UNDEFINED):
        return None, place
    if kind in (OBJECT, ECMA_ARRAY):
        return _fields(data, place + 4 * (kind == ECMA_ARRAY))
    raise ValueError(f"AMF0 type {kind} at byte {place - 1} is none that RTMP's commands use")


def _fields(data: bytes, place: int) -> tuple[Value, int]:
    fields: dict[str, Value] = {}
    while True:
        name, place = _text(data, place)
        if not name and data[place] == OBJECT_END:
            return fields, place + 1
        fields[name], place = _decoded(data, place)


def _text(data: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">H", data, place)
    place += 2
    if place + length > len(data):
        raise IndexError(place)
    return data[place : place + length].decode(errors="replace"), place + length
