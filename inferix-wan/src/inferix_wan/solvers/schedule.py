"""The flow-match schedule: float32 tables of noise shares and network times, and look-ups in them; free of torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float32]

NUM_TRAIN_TIMES = 1000
DEFAULT_SIGMA_MIN = 0.003 / 1.002


class FlowMatchSchedule:
    """Shares of noise from 1 downwards, pressed towards noise by `shift`, and the times that stand for them.

    The tables are float32 and every look-up takes the nearest entry, the first on a tie, because the official
    numbers come from the table and not from the formula. `drop_last` makes a table of one entry more and drops
    the end; `invert_times` runs from clean to noise; `reverse_sigmas` turns each share into what is left of 1.
    """

    def __init__(
        self,
        *,
        shift: float,
        num_levels: int = NUM_TRAIN_TIMES,
        sigma_min: float = 0.0,
        drop_last: bool = True,
        invert_times: bool = False,
        reverse_sigmas: bool = False,
    ) -> None:
        shares = _linspace(1.0, sigma_min, num_levels + 1)[:-1] if drop_last else _linspace(1.0, sigma_min, num_levels)
        if invert_times:
            shares = shares[::-1].copy()
        factor = np.float32(shift)
        shares = factor * shares / (np.float32(1.0) + np.float32(shift - 1.0) * shares)
        self.sigmas: Table = np.float32(1.0) - shares if reverse_sigmas else shares
        self.times: Table = self.sigmas * np.float32(NUM_TRAIN_TIMES)
        self._ends_in_noise = invert_times or reverse_sigmas

    def nearest(self, time: float) -> int:
        """The index of the entry nearest to `time`."""
        return int(np.argmin(np.abs(self.times - np.float32(time))))

    def sigma(self, time: float) -> float:
        """The share of noise at the entry nearest to `time`."""
        return float(self.sigmas[self.nearest(time)])

    def next_sigma(self, time: float, *, to_final: bool = False) -> float:
        """The share of noise one entry after `time`, or at the very end if that was the last or `to_final` is set."""
        index = self.nearest(time)
        if to_final or index + 1 >= len(self.sigmas):
            return 1.0 if self._ends_in_noise else 0.0
        return float(self.sigmas[index + 1])

    def warped(self, steps: Sequence[int]) -> tuple[float, ...]:
        """The times that the unshifted `steps` (1000 is noise, 0 is clean) stand for after the shift."""
        extended = np.append(self.times, np.float32(0.0))
        return tuple(float(extended[NUM_TRAIN_TIMES - step]) for step in steps)

    def training_weights(self) -> Table:
        """A weight for each entry that favours the middle of the schedule, 1 on average."""
        centred = (self.times - np.float32(NUM_TRAIN_TIMES / 2)) / np.float32(NUM_TRAIN_TIMES)
        bell = np.exp(np.float32(-2.0) * centred * centred)
        raised = bell - bell.min()
        return np.asarray(raised * (np.float32(NUM_TRAIN_TIMES) / raised.sum()), dtype=np.float32)


def _linspace(start: float, end: float, count: int) -> Table:
    """Evenly spaced numbers, counted from the nearer end, each rounded to float32 once."""
    if count == 1:
        return np.array([start], dtype=np.float32)
    step = np.float64(np.float32((np.float32(end) - np.float32(start)) / np.float32(count - 1)))
    index = np.arange(count, dtype=np.float64)
    spaced = np.where(index < count // 2, np.float32(start) + step * index, np.float32(end) - step * index[::-1])
    return spaced.astype(np.float32)
