"""Which frames of a run stand for all of it."""

from __future__ import annotations

import numpy as np

from inferix_stream.pixels import Pixels


class FrameChoice:
    """Chooses about `num_cells` evenly spaced frames of a run, from the first to the last.

    With the length known they are exactly even. Without it every `stride`-th frame is kept and, each
    time twice as many are held as needed, every other one is let go and the stride doubles: memory
    stays bounded however long the run is.
    """

    def __init__(self, *, num_cells: int, num_frames_total: int | None) -> None:
        self.num_cells = num_cells
        self._wanted: frozenset[int] | None = None
        if num_frames_total is not None:
            self._wanted = frozenset(_spread(num_frames_total, num_cells))
        self._stride = 1
        self._num_offered = 0
        self._kept: list[tuple[int, Pixels]] = []
        self._last: tuple[int, Pixels] | None = None

    def offer(self, pictures: Pixels) -> None:
        """Looks at the next frames `[T, H, W, 3]` and copies those that it keeps."""
        first = self._num_offered
        self._num_offered += len(pictures)
        for index, picture in enumerate(pictures, start=first):
            if index in self._wanted if self._wanted is not None else index % self._stride == 0:
                self._kept.append((index, picture.copy()))
                self._thin()
        if self._wanted is None and len(pictures):
            self._last = (self._num_offered - 1, pictures[-1].copy())

    def chosen(self) -> list[tuple[int, Pixels]]:
        """The index and picture of each chosen frame so far, in order."""
        if self._wanted is not None:
            return list(self._kept)
        held = list(self._kept)
        if self._last is not None and self._last[0] != held[-1][0]:
            held.append(self._last)
        return [held[place] for place in _spread(len(held), self.num_cells)]

    def _thin(self) -> None:
        if self._wanted is None and len(self._kept) >= 2 * self.num_cells + 2:
            self._stride *= 2
            self._kept = [(index, picture) for index, picture in self._kept if index % self._stride == 0]


def _spread(length: int, num: int) -> list[int]:
    """Up to `num` places in `range(length)`, evenly spaced, the first and the last among them."""
    return sorted({int(place) for place in np.linspace(0, length - 1, min(num, length)).round()}) if length else []
