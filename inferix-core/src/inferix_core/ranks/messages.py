"""What ranks tell one another: plain data and tensors, as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_LENGTH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """An operation that all ranks do together: its name, plain data (as JSON has it) and tensors."""

    operation: str
    data: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The message; tensors come back on the CPU. Text may be any that Python holds."""
        from safetensors.torch import save

        head = json.dumps({"operation": self.operation, "data": self.data}).encode("ascii")
        body = save({name: one.detach().cpu().contiguous() for name, one in self.tensors.items()})
        return len(head).to_bytes(_LENGTH, "little") + head + body

    @classmethod
    def of(cls, raw: bytes) -> Message:
        """The message that `to_bytes` has made."""
        from safetensors.torch import load

        end = _LENGTH + int.from_bytes(raw[:_LENGTH], "little")
        head = json.loads(raw[_LENGTH:end])
        return cls(head["operation"], head["data"], load(raw[end:]))
