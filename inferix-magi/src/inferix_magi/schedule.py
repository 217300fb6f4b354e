"""The time tables of MAGI-1 and the stages of its window, exactly as float32 arithmetic gives them.

Time runs from 0 (noise) to 1 (clean). Comparisons with thresholds such as 0.3 depend on the last
bit, so tables are computed in float32 and handed out as the Python numbers of those values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Spacing = Literal["sd3", "square", "piecewise", "identity"]
Shortcut = Literal["8,16,16", "16,16,8"]

NUM_SHORTCUT_STEPS = 12
"""The only number of steps whose points are not evenly spaced: three in each quarter, taken from sixteenths."""

_QUARTER_SIXTEENTHS: dict[Shortcut, tuple[int, int, int]] = {"8,16,16": (0, 2, 3), "16,16,8": (0, 1, 2)}
_INTERVALS: dict[Shortcut, tuple[float, float, float]] = {"8,16,16": (2.0, 1.0, 1.0), "16,16,8": (1.0, 1.0, 2.0)}


def float32(number: float) -> float:
    """The float32 value nearest to `number`."""
    return float(torch.tensor(number, dtype=torch.float32))


def time_table(
    num_steps: int, *, spacing: Spacing = "sd3", shift: float = 3.0, shortcut: Shortcut = "8,16,16"
) -> tuple[float, ...]:
    """The `num_steps + 1` float32 times from noise to clean; the last may exceed 1 by one bit."""
    points = _points(num_steps, shortcut)
    if spacing == "identity":
        times = points
    elif spacing == "piecewise":
        times = _piecewise(points)
    elif spacing == "square":
        times = points**2
    else:
        squares = points**2
        inverse = 1.0 / shift
        times = inverse * squares / (1.0 + (inverse - 1.0) * squares)
    return tuple(times.tolist())


def step_intervals(num_steps: int, *, shortcut: Shortcut = "8,16,16") -> tuple[float, ...]:
    """How many sixteenths of a quarter each step spans, where steps come in threes; ones otherwise."""
    if num_steps % 3:
        return (1.0,) * num_steps
    return _INTERVALS[shortcut] * (num_steps // 3)


def step_size(num_steps: int, *, interval: float) -> float:
    """The size of a step as distilled networks are told it; `interval` matters for twelve steps only."""
    return 8.0 / interval if num_steps == NUM_SHORTCUT_STEPS else num_steps / 2.0


@dataclass(frozen=True, slots=True)
class Stage:
    """While a stage lasts the same blocks are in flight, each one window place apart.

    `first_block` to `end_block` (exclusive), oldest first, take the places `end_place - 1` down to
    `first_place`; place `p` covers the levels `[p * n, (p + 1) * n)` of `n = num_steps / window`.
    """

    first_block: int
    end_block: int
    first_place: int
    end_place: int

    def level_index(self, block: int, step: int, *, num_stage_steps: int) -> int:
        """The index of the level at which `block` is at the stage's `step`."""
        place = self.end_place - 1 - (block - self.first_block)
        return place * num_stage_steps + step


def stage(index: int, *, window: int, num_blocks: int | None, num_prefix_blocks: int = 0) -> Stage:
    """The stage in which block `index` joins, or would join if `num_blocks` did not end before; None is endless."""
    end = index + 1 if num_blocks is None else min(num_blocks, index + 1)
    return Stage(
        first_block=max(num_prefix_blocks, index - window + 1),
        end_block=end,
        first_place=0 if num_blocks is None else max(0, index - num_blocks + 1),
        end_place=min(window, index - num_prefix_blocks + 1),
    )


def stages(num_blocks: int, *, window: int, num_prefix_blocks: int = 0) -> list[Stage]:
    """All stages of a world of `num_blocks` blocks, ramp-up and ramp-down included."""
    indices = range(num_prefix_blocks, num_blocks + window - 1)
    return [stage(i, window=window, num_blocks=num_blocks, num_prefix_blocks=num_prefix_blocks) for i in indices]


def num_blocks_for(num_frames: int, *, num_prefix_latents: int, num_block_latents: int = 6) -> int:
    """How many blocks a video of `num_frames` new frames takes, prefix latents counted on top."""
    num_latents = num_frames // 4 + num_prefix_latents
    return -(-num_latents // num_block_latents)


def _points(num_steps: int, shortcut: Shortcut) -> Tensor:
    if num_steps != NUM_SHORTCUT_STEPS:
        return torch.linspace(0.0, 1.0, num_steps + 1, dtype=torch.float32)
    sixteenths: Sequence[int] = [4 * quarter + base for quarter in range(4) for base in _QUARTER_SIXTEENTHS[shortcut]]
    return torch.tensor([*sixteenths, 16], dtype=torch.float32) / 16.0


def _piecewise(points: Tensor) -> Tensor:
    """Half of the time in the first seven eighths, the other half in the last."""
    return torch.where(points < 0.875, points * (0.5 / 0.875), 0.5 + 0.5 * (points - 0.875) / 0.125)
