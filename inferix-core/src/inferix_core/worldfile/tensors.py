"""The tensors of a world on their way to a file: each is known by name, and brought when its turn comes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import torch

from inferix_core.errors import PluginError, UnsupportedError
from inferix_core.worldfile.dtypes import STORED_DTYPES, STORED_NAMES
from inferix_core.worldfile.header import header_of
from inferix_core.worldfile.manifest import TensorEntry
from inferix_core.worldfile.whole_file import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from inferix_core.worldfile.manifest import Manifest

NO_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """What a tensor will be in the file, and its parts, which follow one another along the first axis."""

    entry: TensorEntry
    parts: Callable[[], Iterable[Tensor]]


class TensorSources:
    """Tensors by name. A tensor that is added twice is written once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sources: dict[str, _Source] = {}
        self._added: dict[int, tuple[Tensor, str]] = {}  # with the tensors: an id is free again when one is let go

    def add(self, tensor: Tensor, name: str, *, stays_on_host: bool = False) -> str:
        """Adds a tensor; its name in the file, which is another if it was added before or if the name is taken.

        A tensor on the CPU comes back there if the engine is elsewhere, or if it `stays_on_host` in any case.
        """
        if (known := self._added.get(id(tensor))) is not None:
            return known[1]
        while name in self._sources:
            name += "+"
        order = _order_of_memory(tensor)
        stored = tensor.detach() if order is None else tensor.detach().permute(order)
        on_host = stays_on_host or (tensor.device.type == "cpu" and self._device.type != "cpu")
        self._add(name, stored.dtype, stored.shape, lambda: [stored], order=order, on_host=on_host)
        self._added[id(tensor)] = (tensor, name)
        return name

    def add_parts(
        self, parts: Callable[[], Iterable[Tensor]], name: str, *, dtype: torch.dtype, shape: Sequence[int]
    ) -> str:
        """Adds a tensor that is never whole in memory: `parts` are brought when it is written."""
        self._add(name, dtype, shape, parts)
        return name

    @property
    def entries(self) -> tuple[TensorEntry, ...]:
        """The tensors in the order of the file, without digests. Large elements first, so that all lie aligned."""
        sizes = {name: STORED_DTYPES[source.entry.dtype].itemsize for name, source in self._sources.items()}
        return tuple(self._sources[name].entry for name in sorted(sizes, key=lambda name: -sizes[name]))

    def write(self, file: BinaryIO) -> tuple[TensorEntry, ...]:
        """Writes all of them in the order of `entries`; the entries with digests. At most one part is copied at a time.

        Raises `PluginError` for pages that are not as large as their layout says.
        """
        written = []
        for entry in self.entries:
            digest, num_bytes = hashlib.sha256(), 0
            for part in self._sources[entry.name].parts():
                raw = part.contiguous().cpu().view(-1).view(torch.uint8).numpy().data
                digest.update(raw)
                num_bytes += file.write(raw)
            if num_bytes != entry.num_bytes:
                raise PluginError(
                    f"The KV store gave {num_bytes} bytes of '{entry.name}', which has {entry.num_bytes}. "
                    "Tell its authors; `KVStoreSuite` has the rules."
                )
            written.append(entry.model_copy(update={"sha256": digest.hexdigest()}))
        return tuple(written)

    def bring(self, names: Collection[str]) -> None:
        """Brings the named tensors in the order of `entries` and writes them nowhere."""
        for entry in self.entries:
            if entry.name in names:
                for _ in self._sources[entry.name].parts():
                    pass

    def _add(
        self,
        name: str,
        dtype: torch.dtype,
        shape: Sequence[int],
        parts: Callable[[], Iterable[Tensor]],
        *,
        order: tuple[int, ...] | None = None,
        on_host: bool = False,
    ) -> None:
        torch_name = str(dtype).removeprefix("torch.")
        if torch_name not in STORED_NAMES:
            raise UnsupportedError(
                f"{name} is a tensor of {torch_name}, for which safetensors has no name. It has names for "
                f"{', '.join(STORED_NAMES)}."
            )
        entry = TensorEntry(
            name=name,
            dtype=STORED_NAMES[torch_name],
            shape=tuple(shape),
            order=order,
            on_host=on_host,
            sha256=NO_DIGEST,
        )
        self._sources[name] = _Source(entry, parts)


def write_world_file(path: Path, manifest: Manifest, sources: TensorSources) -> None:
    """Writes the file. The header comes last, since it holds the digests; until then there are zeros in its place.

    Raises what `replacing` and `TensorSources.write` raise.
    """
    num_header_bytes = len(header_of(manifest.model_copy(update={"tensors": sources.entries})))
    with replacing(path) as file:
        file.write(bytes(num_header_bytes))
        header = header_of(manifest.model_copy(update={"tensors": sources.write(file)}))
        assert len(header) == num_header_bytes, "digests are all equally long"
        file.seek(0)
        file.write(header)


def _order_of_memory(tensor: Tensor) -> tuple[int, ...] | None:
    """The axes from the slowest to the fastest, None where they lie as they are counted."""
    strides = tensor.stride()
    order = tuple(sorted(range(tensor.dim()), key=lambda axis: -strides[axis]))
    return None if tensor.is_contiguous() or order == tuple(range(tensor.dim())) else order
