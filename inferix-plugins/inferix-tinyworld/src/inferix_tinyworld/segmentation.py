"""Finds the object and the sky in frames by colour alone, as a stranger looking at the video would.

Letters: T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferix_tinyworld.rendering import background
from inferix_tinyworld.scene import COLORS, FLOOR_Y, SKIES

MIN_CHROMA = 105
"""Largest minus smallest of R, G, B from which on a pixel belongs to an object; backgrounds stay under 100."""
MIN_AREA = 60
"""Pixels of the smallest patch that counts as an object; a whole one has 700 to 900."""
SKY_ROWS = slice(0, 40)


@dataclass(frozen=True)
class Sightings:
    """What each of T frames shows; the object is the largest patch."""

    num_objects: NDArray[np.int64]
    color: list[str | None]
    """Name of the object's colour, `None` where there is no object."""
    x: NDArray[np.float64]
    """Column of the object's centre, nan where there is no object."""
    y: NDArray[np.float64]
    area: NDArray[np.int64]
    sky: list[str]


def find_objects(frames: NDArray[np.uint8]) -> Sightings:
    """Object and sky of frames [T, H, W, 3]."""
    chroma = frames.max(axis=-1).astype(np.int16) - frames.min(axis=-1)
    mask = chroma >= MIN_CHROMA
    num_objects, area = np.zeros(len(frames), np.int64), np.zeros(len(frames), np.int64)
    x, y = np.full(len(frames), np.nan), np.full(len(frames), np.nan)
    color: list[str | None] = []
    for index, frame_mask in enumerate(mask):
        patches = [patch for patch in _patches(frame_mask) if patch.area >= MIN_AREA]
        num_objects[index] = len(patches)
        if not patches:
            color.append(None)
            continue
        largest = max(patches, key=lambda patch: patch.area)
        area[index], x[index], y[index] = largest.area, largest.x, largest.y
        color.append(_nearest_color(largest.pixels(frames[index])))
    return Sightings(num_objects=num_objects, color=color, x=x, y=y, area=area, sky=_skies(frames, mask))


def classify_behaviour(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """The behaviour that a track of some seconds without pushes and jumps shows; nan are skipped."""
    seen = ~np.isnan(y)
    if seen.sum() < 8:
        return "rests"
    high_share = float(np.mean(FLOOR_Y - y[seen] > 8.0))
    if high_share > 0.35:
        return "bounces"
    # Over four frames, so that half a pixel of segmentation noise is no motion.
    shifts = np.abs(x[4:] - x[:-4]) / 4
    shifts = shifts[~np.isnan(shifts)]
    return "rolls" if shifts.size and float(np.median(shifts)) > 0.7 else "rests"


@dataclass(frozen=True)
class _Patch:
    """A connected patch of a mask as its runs: rows, first columns and last columns + 1."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @property
    def area(self) -> int:
        return int((self.stops - self.starts).sum())

    @property
    def x(self) -> float:
        lengths = self.stops - self.starts
        return float((lengths * (self.starts + self.stops - 1) / 2).sum() / lengths.sum())

    @property
    def y(self) -> float:
        lengths = self.stops - self.starts
        return float((lengths * self.rows).sum() / lengths.sum())

    def pixels(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The patch's colours in `frame`: [area, 3]."""
        runs = zip(self.rows, self.starts, self.stops, strict=True)
        return np.concatenate([frame[row, start:stop] for row, start, stop in runs])


def _patches(mask: NDArray[np.bool_]) -> Iterator[_Patch]:
    """The 4-connected patches of a mask [H, W], by joining runs of neighbouring rows."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    above = 0
    row_list, start_list, stop_list = rows.tolist(), starts.tolist(), stops.tolist()
    for run, row in enumerate(row_list):
        while row_list[above] < row - 1:
            above += 1
        other = above
        while other < run and row_list[other] == row - 1:
            if start_list[other] < stop_list[run] and start_list[run] < stop_list[other]:
                parents[root(other)] = root(run)
            other += 1
    roots = np.array([root(run) for run in range(len(parents))], dtype=np.int64)
    for value in np.unique(roots):
        chosen = roots == value
        yield _Patch(rows=rows[chosen], starts=starts[chosen], stops=stops[chosen])


def _hue(rgb: NDArray[np.float64]) -> float:
    """Hue in degrees of one colour."""
    red, green, blue = rgb
    angle = np.arctan2(np.sqrt(3.0) * (green - blue), 2 * red - green - blue)
    return float(np.degrees(angle) % 360)


_HUES = {name: _hue(np.array(rgb, dtype=np.float64)) for name, rgb in COLORS.items()}


def _nearest_color(pixels: NDArray[np.uint8]) -> str:
    """The colour whose hue is nearest to that of the median pixel of [num, 3]."""
    hue = _hue(np.median(pixels, axis=0).astype(np.float64))
    return min(_HUES, key=lambda name: abs((_HUES[name] - hue + 180) % 360 - 180))


def _skies(frames: NDArray[np.uint8], mask: NDArray[np.bool_]) -> list[str]:
    """The sky that each frame's upper rows, object left out, are nearest to."""
    free = ~mask[:, SKY_ROWS, :, None]
    rows = frames[:, SKY_ROWS].astype(np.float32)
    errors = []
    for sky in SKIES:
        difference = np.abs(rows - background(sky)[SKY_ROWS].astype(np.float32))
        errors.append((difference * free).sum((1, 2, 3)) / np.maximum(free.sum((1, 2, 3)), 1))
    return [SKIES[index] for index in np.argmin(np.stack(errors), axis=0)]
