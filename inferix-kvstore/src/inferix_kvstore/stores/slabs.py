"""Pages in numbered slots of one tensor for each field.

Letters: P pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from inferix_core.contracts.attention import Segment
from inferix_core.plan import KVLayout
from inferix_core.slabs import empty_slabs
from torch import Tensor


class Slabs:
    """`num_slots` slots, each with room for one latent in all layers. Raises `CapacityError` where memory is short."""

    def __init__(
        self,
        layout: KVLayout,
        num_slots: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        pinned: bool = False,
    ) -> None:
        self.num_slots = num_slots
        self.fields = empty_slabs(layout, num_slots, device=device, dtype=dtype, pinned=pinned)

    @property
    def num_bytes(self) -> int:
        """Bytes of all slots, taken or not."""
        return sum(slab.nbytes for slab in self.fields.values())

    def copy_all_from(self, other: Slabs) -> None:
        """Copies every slot of `other`, which has as many."""
        for name, slab in self.fields.items():
            slab.copy_(other.fields[name])

    def write(self, layer: int, slots: range, pages: Mapping[str, Tensor]) -> None:
        """Copies pages `[P, rows, ...]` to as many slots."""
        for name, slots_of_field in self.pages(layer, slots).items():
            slots_of_field.copy_(pages[name])

    def pages(self, layer: int, slots: range) -> dict[str, Tensor]:
        """A view of the slots' pages `[P, rows, ...]`."""
        return {name: slab[layer, slots.start : slots.stop] for name, slab in self.fields.items()}

    def segment(self, layer: int, slots: range) -> Segment:
        """A view of the slots' rows `[1, P * rows, ...]`."""
        return {name: pages.flatten(0, 1).unsqueeze(0) for name, pages in self.pages(layer, slots).items()}

    def copy_from(self, other: Slabs, theirs: int, ours: int) -> None:
        """Copies one slot of `other`; from a CUDA device to pinned memory this does not wait."""
        for name, slab in self.fields.items():
            for layer, their_layer in zip(slab, other.fields[name], strict=True):  # contiguous, or CUDA would wait
                layer[ours].copy_(their_layer[theirs], non_blocking=True)


def pages_of(fields: Mapping[str, Tensor], num_latents: int) -> dict[str, Tensor]:
    """Rows `[P * rows, ...]` of `num_latents` latents as pages `[P, rows, ...]`, views."""
    return {name: values.view(num_latents, -1, *values.shape[1:]) for name, values in fields.items()}


def runs(numbers: Iterable[int]) -> list[range]:
    """`numbers` in their order, each with those that follow it by one as a range."""
    found: list[range] = []
    for number in numbers:
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found
