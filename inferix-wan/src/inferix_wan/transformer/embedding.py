"""Times to sinusoids.

Letters: B worlds, L latents.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def sinusoid(times: Sequence[Sequence[float]], *, dim: int) -> Tensor:
    """[B, L] times -> [B, L, dim] float64 on the CPU: cosines first, then sines, of falling frequencies."""
    half = dim // 2
    frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.tensor(times, dtype=torch.float64).unsqueeze(-1) * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
