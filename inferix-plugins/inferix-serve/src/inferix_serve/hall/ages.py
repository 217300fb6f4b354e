"""How old inputs are when the frame that reflects them is shown (input to photon)."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The median and the 95th percentile in seconds, of how many samples."""

    p50: float
    p95: float
    num_samples: int


def percentiles(samples: list[float]) -> Percentiles | None:
    """Nearest-rank percentiles; None where there are no samples."""
    if not samples:
        return None
    ordered = sorted(samples)
    last = len(ordered) - 1
    return Percentiles(ordered[round(0.5 * last)], ordered[round(0.95 * last)], len(ordered))


class Ages:
    """The last samples of one quantity. Safe to use from several threads."""

    def __init__(self, num_kept: int = 200) -> None:
        self._samples: deque[float] = deque(maxlen=num_kept)
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Adds a sample; the oldest goes."""
        with self._lock:
            self._samples.append(seconds)

    def summary(self) -> Percentiles | None:
        """Percentiles of what is kept."""
        with self._lock:
            return percentiles(list(self._samples))

    def longest(self, num_last: int) -> float | None:
        """The largest of the last `num_last` samples."""
        with self._lock:
            return max(list(self._samples)[-num_last:], default=None)
