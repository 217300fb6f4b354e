"""What a plan leaves of a block for the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from inferix_core.errors import PlanError
from inferix_core.runtime.anchor import state_with_anchor

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.decoder import Decoder, FrameEncoder
    from inferix_core.plan import Emit, Geometry
    from inferix_core.runtime.state import WorldState


@dataclass(slots=True)
class Finished:
    """A block that a plan finished in one world: clean latents, and the frames that the viewer gets of them.

    Of a block that a decoder starts anew for, `behind` are the latents `[L, C, h, w]` that it starts with. `anchor` is
    the index of the frame that the next block's decoder starts from.
    """

    block: int
    span: range
    latents: Tensor
    signal_ids: tuple[str, ...]
    frames: slice | None = None
    behind: Tensor | None = None
    anchor: int | None = None

    def num_frames(self, geometry: Geometry) -> int:
        """How many frames the viewer gets of the block from a decoder that keeps to the geometry."""
        count = geometry.num_frames(self.span)
        if self.behind is not None:
            count = geometry.num_frames(range(len(self.behind) + len(self.latents)))
        return count if self.frames is None else len(range(count)[self.frames])


def emit(state: WorldState, blocks: Sequence[Finished], op: Emit) -> None:
    """Says what the decoder and the viewer get of one of the finished blocks."""
    block = next((one for one in blocks if one.block == op.block), None)
    if block is None:
        raise PlanError(f"The plan emits block {op.block}, which it has not finished.")
    block.frames, block.anchor = op.frames, op.anchor
    if op.latents is not None:
        start = block.span.start
        block.latents = block.latents[op.latents.start - start : op.latents.stop - start]
        block.span = op.latents
    if op.behind is not None:
        absent = [latent for latent in op.behind if latent not in state.committed]
        if absent:
            raise PlanError(f"The plan decodes behind latents {absent}, which are not held: widen the KV policy.")
        block.behind = torch.stack([state.committed[latent] for latent in op.behind])


def frames_and_state(block: Finished, state: Any, *, decoder: Decoder) -> tuple[Tensor, Any]:
    """The viewer's frames `[T, 3, H, W]` of a block, float, and the state to decode the next with.

    A block with an anchor needs a decoder that provides "encode".
    """
    latents = block.latents
    if block.behind is not None:
        latents, state = torch.cat([block.behind, latents]), None
    frames, new_state = decoder.decode(latents, state)
    if block.anchor is not None:
        anchor, _ = cast("FrameEncoder", decoder).encode(frames[block.anchor :][:1], None)
        new_state = state_with_anchor(anchor[0])
    return frames if block.frames is None else frames[block.frames], new_state
