"""What a plan leaves of a block for the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferix_core.errors import PlanError

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.plan import Emit


@dataclass(slots=True)
class Finished:
    """A block that a plan finished in one world: clean latents and the frames the viewer gets of it."""

    block: int
    span: range
    latents: Tensor
    signal_ids: tuple[str, ...]
    frames: slice | None = None


def emit(blocks: Sequence[Finished], op: Emit) -> None:
    """Narrows what the decoder and the viewer get of one of the finished blocks."""
    block = next((one for one in blocks if one.block == op.block), None)
    if block is None:
        raise PlanError(f"The plan emits block {op.block}, which it has not finished.")
    block.frames = op.frames
    if op.latents is not None:
        start = block.span.start
        block.latents = block.latents[op.latents.start - start : op.latents.stop - start]
        block.span = op.latents
