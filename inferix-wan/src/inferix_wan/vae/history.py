"""What causal layers remember of earlier frames, kept outside the layers.

Letters: B videos, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import torch
from inferix_core.contracts.decoder import Columns
from torch import Tensor
from torch.nn import functional as F

State = tuple[Tensor, ...]
"""The remembered frames of every causal layer, in the order in which the layers run. Never modified in place."""


class History:
    """Reads one state and collects the next while the layers of a network run in their fixed order.

    `columns` brings what lies beside the columns that the layers are given, None where they are given all.
    """

    def __init__(self, state: State | None, *, columns: Columns | None = None) -> None:
        self.columns = columns
        self._held = state
        self._kept: list[Tensor] = []

    @property
    def is_fresh(self) -> bool:
        """Whether the video begins with this call."""
        return self._held is None

    @property
    def state(self) -> State:
        """What the layers have kept so far."""
        return tuple(self._kept)

    def prepend(self, x: Tensor, num_frames: int) -> Tensor:
        """`x` [B, C, T, H, W] behind the layer's last `num_frames` frames -> [B, C, n + T, H, W].

        Before the start of a video there are zeros. The last `num_frames` frames are kept for the next call.
        """
        if self._held is None:
            extended = F.pad(x, (0, 0, 0, 0, num_frames, 0))
        else:
            extended = torch.cat([self._held[len(self._kept)].to(x.dtype), x], dim=2)
        # A copy: a view would keep the whole activation alive for as long as the state.
        self._kept.append(extended[:, :, extended.shape[2] - num_frames :].clone())
        return extended
