"""Which numbers are free, kept as runs, so that neighbours can be handed out together."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class FreeRuns:
    """A set of numbers as ascending ranges that neither overlap nor touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._num_free = 0

    def __len__(self) -> int:
        return self._num_free

    @property
    def runs(self) -> list[range]:
        """All runs, ascending."""
        return [range(start, end) for start, end in zip(self._starts, self._ends, strict=True)]

    @property
    def longest(self) -> range:
        """The longest run, the first of several; empty if nothing is free."""
        return max(self.runs, key=len, default=range(0))

    def run_from(self, number: int) -> range:
        """From `number` to the end of its run; empty if it is not free."""
        place = bisect_right(self._starts, number) - 1
        end = self._ends[place] if place >= 0 else number
        return range(number, max(number, end))

    def add(self, numbers: range) -> None:
        """Adds a run of numbers of which none is there."""
        start, end = numbers.start, numbers.stop
        self._num_free += len(numbers)
        place = bisect_left(self._starts, start)
        if place < len(self._starts) and self._starts[place] == end:
            end = self._ends[place]
            self._cut(place)
        if place > 0 and self._ends[place - 1] == start:
            start = self._starts[place - 1]
            place -= 1
            self._cut(place)
        self._insert(place, start, end)

    def remove(self, numbers: range) -> None:
        """Takes out a run of numbers that are all there."""
        self._num_free -= len(numbers)
        place = bisect_right(self._starts, numbers.start) - 1
        start, end = self._starts[place], self._ends[place]
        self._cut(place)
        if numbers.stop < end:
            self._insert(place, numbers.stop, end)
        if start < numbers.start:
            self._insert(place, start, numbers.start)

    def _insert(self, place: int, start: int, end: int) -> None:
        self._starts.insert(place, start)
        self._ends.insert(place, end)

    def _cut(self, place: int) -> None:
        del self._starts[place], self._ends[place]
