"""What a process and a device hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """The process's resident memory; None where the system does not say (it does on Linux)."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def tensor_bytes(value: Any) -> int:
    """Bytes of the tensors in a value of mappings, sequences and dataclasses; memory that is shared counts once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(value)}
    return sum(storages.values())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(inner)


@dataclass(slots=True)
class Growth:
    """What the memory grew by in all the stretches that were watched.

    `num_peak_bytes` is the most that was allocated in a settled stretch beyond what was there when it began, on CUDA;
    `num_resident_bytes` is what the process's resident memory grew by and kept, summed over the stretches; elsewhere.
    """

    device: torch.device
    num_peak_bytes: int = 0
    num_resident_bytes: int = 0

    @contextmanager
    def watched(self, *, is_settled: bool = True) -> Iterator[None]:
        """Watches the body; it is settled if it allocates nothing that stays."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            yield
            if is_settled:
                self.num_peak_bytes = max(self.num_peak_bytes, torch.cuda.max_memory_allocated(self.device) - before)
        else:
            resident = resident_bytes()
            yield
            self.num_resident_bytes += (resident_bytes() or 0) - (resident or 0)
