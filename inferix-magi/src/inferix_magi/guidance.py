"""How the predictions of MAGI-1's three passes are weighed, by the time of the block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from inferix_core.plan import Level

TEXT = "signal"
"""The branch of a block in the pass with text."""

NULL = "null"
"""The branch without text: null caption rows and the conditioning vector that says so."""

CLEAN = "clean"
"""A clean block in a pass with text: null caption rows, but the conditioning vector of the pass."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The shares of the three predictions: with history and text, with history alone, with neither."""

    text: float
    history: float
    alone: float


@dataclass(frozen=True, slots=True)
class GuidanceScales:
    """Scales that hold from each of the ascending `times` on."""

    times: Sequence[float]
    history: Sequence[float]
    text: Sequence[float]

    def scales(self, time: float) -> tuple[float, float]:
        """The history scale and the text scale at a float32 `time`.

        A threshold is lowered by 1e-7, in float32, so that a time of the schedule that equals it is past it.
        """
        thresholds = torch.tensor(self.times, dtype=torch.float32) - 1e-7
        last = max(int((thresholds < time).sum()) - 1, 0)
        return self.history[last], self.text[last]

    def weights(self, level: Level) -> Weights:
        """The shares at a level; they add up to 1."""
        history, text = self.scales(level.time)
        return Weights(text=text, history=history - text, alone=1.0 - history)
