"""What memory blocks remember of the frame before, kept outside the blocks.

Letters: T frames, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""The last frame [1, C, H, W] that each memory block was given, in the order in which they run. Never modified."""


class Memory:
    """Reads one state and collects the next while the blocks of a network run in their fixed order."""

    def __init__(self, state: State | None) -> None:
        self._held = state
        self._kept: list[Tensor] = []

    @property
    def state(self) -> State:
        """What the blocks have kept so far."""
        return tuple(self._kept)

    def before(self, x: Tensor) -> Tensor:
        """The frame before each of `x` [T, C, H, W]; before a video there is one of zeros. The last of `x` is kept."""
        first = torch.zeros_like(x[:1]) if self._held is None else self._held[len(self._kept)].to(x.dtype)
        # A copy: a view would keep the whole activation alive for as long as the state.
        self._kept.append(x[-1:].clone(memory_format=torch.preserve_format))
        return torch.cat([first, x[:-1]])
