"""Whether a world can show as many frames as are asked for, told by its plans before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from inferix_core.errors import PlanError, UnsupportedError
from inferix_core.plan import Emit, Geometry, Op, Pass, Prefill, Progress

if TYPE_CHECKING:
    from inferix_core.contracts.scheduler import Planner


def check_reach(planner: Planner, progress: Progress, *, geometry: Geometry, num_frames: int) -> None:
    """Raises `UnsupportedError` if the plans end before `num_frames` more frames, and says what to change.

    Of a world without a horizon two blocks are looked at: such a world ends after one or never.
    """
    if num_frames < 1:
        return
    planned, refusal = 0, ""
    num_blocks = 2 if progress.horizon is None else progress.horizon - progress.num_finished
    for _ in range(num_blocks):
        try:
            plan = planner.plan(progress)
        except PlanError as error:
            refusal = str(error)
            break
        if not plan:
            break
        planned += num_frames_of(plan, progress.num_finished, geometry)
        progress = replace(progress, num_finished=progress.num_finished + 1)
        if planned >= num_frames:
            return
    else:
        if progress.horizon is None:
            return
    raise UnsupportedError(
        f"{num_frames} frames were asked for, {_num_latents(num_frames, geometry)} latents of a new world, but this "
        f"world ends after {planned} more. {refusal or advice_at_the_end(planner, progress)}"
    )


def advice_at_the_end(planner: Planner, progress: Progress) -> str:
    """What to do where a planner makes no block after those that are finished."""
    try:
        planner.plan(replace(progress, horizon=progress.num_finished + 1))
    except PlanError as error:
        return str(error)
    return "Create it with a larger num_blocks."


def num_frames_of(plan: Sequence[Op], block: int, geometry: Geometry) -> int:
    """How many frames the viewer gets of a block, from its plan."""
    span, behind, shown = range(0), 0, slice(None)
    for op in plan:
        entries = op.entries if isinstance(op, Pass) else (op.entry,) if isinstance(op, Prefill) else ()
        span = next((entry.latents for entry in entries if entry.block == block), span)
        if isinstance(op, Emit) and op.block == block:
            span = span if op.latents is None else op.latents
            behind, shown = len(op.behind or ()), op.frames or shown
    latents = range(behind + len(span)) if behind else span
    return len(range(geometry.num_frames(latents))[shown])


def _num_latents(num_frames: int, geometry: Geometry) -> int:
    """The latents that a new world needs for so many frames."""
    return 1 + max(0, ceil((num_frames - geometry.num_frames_first) / geometry.num_frames_per_latent))
