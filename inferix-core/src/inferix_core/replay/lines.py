"""The lines of a log's file: what each holds, and how a record becomes one."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter

from inferix_core.replay.recording import Circumstances
from inferix_core.runtime.log import BlockRecord, ChangeRecord, Record, SeedRecord, SignalRecord
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "inferix world log"
VERSION = 1

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class TensorText(BaseModel):
    """A tensor as text: `data` is base64 of its bytes in row-major order, little-endian."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Annotated[str, Field(pattern=r"^(float32|bfloat16|float16)$")]
    shape: tuple[NonNegativeInt, ...]
    data: str

    @classmethod
    def of(cls, tensor: Tensor) -> TensorText:
        """The tensor, which lies on the CPU, as text. Raises `ValueError` for one of another dtype."""
        import torch  # most worlds begin with nothing

        raw = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        dtype = str(tensor.dtype).removeprefix("torch.")
        return cls(dtype=dtype, shape=tuple(tensor.shape), data=base64.b64encode(raw).decode("ascii"))

    def tensor(self) -> Tensor:
        """The tensor. Raises `ValueError` where the data are no base64 or of another length than the shape's."""
        import torch

        raw, dtype = bytearray(base64.b64decode(self.data, validate=True)), getattr(torch, self.dtype)
        if len(raw) != (expected := prod(self.shape) * dtype.itemsize):
            raise ValueError(f"{len(raw)} bytes were found where the shape needs {expected}")
        return torch.frombuffer(raw, dtype=dtype).view(self.shape)


class ConditionText(BaseModel):
    """A part of the conditions as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: TensorText
    memo: str


class Header(BaseModel):
    """The first line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    version: int
    model: str | None
    config: dict[str, Any] | None
    horizon: Annotated[int, Field(ge=1)] | None
    prefix: TensorText | None
    circumstances: Circumstances
    conditions: dict[str, ConditionText] = Field(default_factory=dict)


class _SignalFields(BaseModel):
    model_config = _STRICT

    prompt: str | None = None
    action: str | None = None
    id: str | None = None
    negative_prompt: str | None = None


class _SignalLine(BaseModel):
    model_config = _STRICT

    block: NonNegativeInt
    signal: _SignalFields


class _SeedLine(BaseModel):
    model_config = _STRICT

    num_blocks: NonNegativeInt
    seed: Annotated[int, Field(ge=0, le=2**64 - 1)]


class _BlockLine(BaseModel):
    model_config = _STRICT

    block: NonNegativeInt
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _ChangeLine(BaseModel):
    model_config = _STRICT

    num_blocks: NonNegativeInt
    changes: tuple[str, ...]


_Line = _SignalLine | _SeedLine | _BlockLine | _ChangeLine
_LINE: TypeAdapter[_Line] = TypeAdapter(_Line)


def line_of(record: Record) -> str:
    """The record as a line of JSON, without what is not set."""
    fields = asdict(record)
    if isinstance(record, SignalRecord):
        fields["signal"] = {key: value for key, value in fields["signal"].items() if value is not None}
    return json.dumps(fields, ensure_ascii=False)


def parsed_record(line: str) -> Record:
    """The record in a line. Raises `ValueError` where it is none."""
    found = _LINE.validate_json(line)
    if isinstance(found, _SignalLine):
        return SignalRecord(found.block, Signal(**found.signal.model_dump()))
    if isinstance(found, _SeedLine):
        return SeedRecord(found.num_blocks, found.seed)
    if isinstance(found, _ChangeLine):
        return ChangeRecord(found.num_blocks, found.changes)
    return BlockRecord(found.block, found.digest)
