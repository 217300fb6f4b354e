"""From what is written of a world to its state.

Letters: L latents, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from inferix_core.contracts.model import Condition, Conditions
from inferix_core.events import Block
from inferix_core.runtime.log import WorldLog
from inferix_core.runtime.noise import CounterNoise
from inferix_core.runtime.relevance import Means
from inferix_core.runtime.state import FlyingBlock, WorldState
from inferix_core.worldfile.dtypes import STORED_DTYPES
from inferix_core.worldfile.manifest import BlockEntry, MeansEntry, StateEntry, page_name
from inferix_core.worldfile.pages import page_tensors
from inferix_core.worldfile.records import check_records
from inferix_core.worldfile.trees import value_of

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.worldfile.world_file import WorldFile


@dataclass(frozen=True, slots=True, eq=False)
class Unpacked:
    """A world's state without its caches, and the frames that a run left over."""

    state: WorldState
    surplus: Block | None


def unpacked(file: WorldFile, *, world_id: str, device: torch.device) -> Unpacked:
    """What the file holds, its tensors on `device` but for those that lie on the CPU wherever the engine runs."""

    def tensor(name: str) -> Tensor:
        values = file.tensor(name)
        return values if file.entry(name).on_host else values.to(device)

    return _Unpacker(file, tensor).unpacked(world_id)


def check(file: WorldFile) -> None:
    """Raises `WorldFileError` unless the manifest's parts fit one another and the tensors; loads none of them."""
    check_records(file)
    used: set[str] = set()

    def stand_in(name: str) -> Tensor:
        entry = file.entry(name)
        used.add(name)
        shape = entry.shape
        if entry.order is not None:
            shape = tuple(shape[entry.order.index(axis)] for axis in range(len(shape)))
        dtype: torch.dtype = getattr(torch, STORED_DTYPES[entry.dtype].torch_name)
        return torch.empty(shape, dtype=dtype, device="meta")

    _Unpacker(file, stand_in).unpacked("")
    used |= _check_pages(file)
    if extra := [entry.name for entry in file.manifest.tensors if entry.name not in used]:
        raise file.damage(f"the tensor '{extra[0]}' belongs to nothing")


class _Unpacker:
    def __init__(self, file: WorldFile, tensor: Callable[[str], Tensor]) -> None:
        self._file = file
        self._read = tensor
        self._tensors: dict[str, Tensor] = {}
        self._conditions: list[Condition] = []

    def unpacked(self, world_id: str) -> Unpacked:
        """The state; raises `WorldFileError` for parts that do not fit."""
        entry = self._file.manifest.state
        try:
            self._conditions = [Condition(self._tensor(one.tokens), one.memo) for one in entry.condition_table]
            return Unpacked(self._state(entry, world_id), self._surplus(entry, world_id))
        except ValueError as error:
            raise self._file.damage(f"the manifest does not fit: {error}") from error

    def _state(self, entry: StateEntry, world_id: str) -> WorldState:
        return WorldState(
            id=world_id,
            noise=CounterNoise(entry.seed),
            prefix=None if entry.prefix is None else self._latents(entry.prefix),
            horizon=entry.horizon,
            beginning=self._parts(entry.beginning) or {},
            pending=list(entry.pending),
            flying={index: self._block(one) for index, one in entry.flying.items()},
            clean={index: self._block(one) for index, one in entry.clean.items()},
            committed=self._committed(entry),
            conditions=self._parts(entry.conditions),
            upcoming=self._parts(entry.upcoming),
            decoder_state=value_of(entry.decoder_state, tensor=self._tensor),
            num_finished=entry.num_finished,
            num_frames=entry.num_frames,
            means={cache: self._means(one) for cache, one in entry.means.items()},
            log=WorldLog(entry.log, origin=self._file.manifest.origin),
            script=dict(entry.script),
        )

    def _block(self, entry: BlockEntry) -> FlyingBlock:
        conditions = self._parts(entry.conditions)
        assert conditions is not None, "the entry of a block names its conditions"
        return FlyingBlock(
            latents=self._latents(entry.latents),
            conditions=conditions,
            signal_ids=entry.signal_ids,
            history=value_of(entry.history, tensor=self._tensor),
            gathered=None if entry.gathered is None else self._latents(entry.gathered),
            relevance=entry.relevance,
        )

    def _parts(self, entry: Mapping[str, int] | None) -> Conditions | None:
        if entry is None:
            return None
        if any(index >= len(self._conditions) for index in entry.values()):
            raise ValueError("a block names a condition that is not there")
        return {name: self._conditions[index] for name, index in entry.items()}

    def _committed(self, entry: StateEntry) -> dict[int, Tensor]:
        if entry.committed is None:
            return {}
        return self._rows(entry.committed.latents, self._latents(entry.committed.values))

    def _means(self, entry: MeansEntry) -> Means:
        keys = {} if entry.keys is None else self._rows(entry.latents, self._tensor(entry.keys))
        return Means(keys, None if entry.queries is None else self._tensor(entry.queries))

    def _rows(self, latents: tuple[int, ...], values: Tensor) -> dict[int, Tensor]:
        """Each latent's row, with memory of its own, so that one can be let go without the others."""
        if values.dim() == 0 or len(values) != len(latents):
            raise ValueError(f"{len(latents)} latents are named for rows of {list(values.shape)}")
        return {latent: row.clone() for latent, row in zip(latents, values, strict=True)}

    def _surplus(self, entry: StateEntry, world_id: str) -> Block | None:
        if (surplus := entry.surplus) is None:
            return None
        frames = self._tensor(surplus.frames)
        geometry = self._file.manifest.identity.geometry
        if frames.dtype != torch.uint8 or frames.shape[1:] != (geometry.frame_height, geometry.frame_width, 3):
            raise ValueError(f"the frames left over are {list(frames.shape)} of {frames.dtype}")
        return Block(surplus.index, frames, range(*surplus.span), world_id=world_id)

    def _latents(self, name: str) -> Tensor:
        """Latents `[L, C, h, w]`."""
        values, expected = self._tensor(name), self._file.manifest.identity.geometry.latent_shape
        if values.dim() != 4 or tuple(values.shape[1:]) != expected:
            raise ValueError(f"the latents '{name}' are {list(values.shape)}, each should be {list(expected)}")
        return values

    def _tensor(self, name: str) -> Tensor:
        """The tensor; the same one for those that are shared."""
        if name not in self._tensors:
            self._tensors[name] = self._read(name)
        return self._tensors[name]


def _check_pages(file: WorldFile) -> set[str]:
    """The names of all tensors of pages, each found to be what the layout says."""
    manifest, names = file.manifest, set[str]()
    layouts = manifest.layouts
    dtype: torch.dtype = getattr(torch, manifest.identity.dtype)
    for cache, tiers in manifest.state.caches.items():
        if tiers.keys() != layouts.keys():
            raise file.damage(f"the cache '{cache}' has the tiers {', '.join(tiers)}")
        for tier, entry in tiers.items():
            for layer, field, shape, field_dtype in page_tensors(layouts[tier], len(entry.held), dtype):
                name = page_name(cache, tier, layer, field)
                found = file.entry(name)
                expected = str(field_dtype).removeprefix("torch.")
                if found.shape != shape or STORED_DTYPES[found.dtype].torch_name != expected or found.order:
                    raise file.damage(f"the tensor '{name}' is not of {expected} {list(shape)}")
                names.add(name)
    return names
