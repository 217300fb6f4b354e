"""The levels of the multi-step solvers, as Wan 2.1 spaces them; free of torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from inferix_core.plan import Level

from inferix_wan.solvers.config import Spacing
from inferix_wan.solvers.schedule import NUM_TRAIN_TIMES


def sampling_levels(num_steps: int, *, shift: float, spacing: Spacing) -> Sequence[Level]:
    """`num_steps` levels and the clean one: evenly spaced shares of noise, pressed towards noise by `shift`.

    Those for UniPC begin just below pure noise, those for DPM-Solver++ at it. Shares are float32; the network is told
    whole numbers of time, rounded down.
    """
    first = float(np.float32(1.0 - 1.0 / NUM_TRAIN_TIMES)) if spacing == "unipc" else 1.0
    even = np.linspace(first, 0.0, num_steps + 1)[:-1]
    shares = shift * even / (1.0 + (shift - 1.0) * even)
    noisy = [
        Level(index, float(int(share * NUM_TRAIN_TIMES)), float(np.float32(share)))
        for index, share in enumerate(shares)
    ]
    return (*noisy, Level(num_steps, 0.0, 0.0))
