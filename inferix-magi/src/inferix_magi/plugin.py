"""What this package brings, declared without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec

from inferix_magi.config import MagiPlannerConfig, MagiRangesConfig, VelocityConfig


@hookimpl
def inferix_schedulers() -> Iterable[Spec]:
    """The order of MAGI-1's passes."""
    return [
        Spec(
            name="magi",
            summary="Several blocks in flight, each a window place further denoised than the next (MAGI-1).",
            implementation="inferix_magi.planner:MagiPlanner",
            config=MagiPlannerConfig,
        )
    ]


@hookimpl
def inferix_solvers() -> Iterable[Spec]:
    """Euler steps along a velocity."""
    return [
        Spec(
            name="velocity",
            summary="Euler step along a predicted velocity, in float32.",
            implementation="inferix_magi.solver:VelocitySolver",
            config=VelocityConfig,
        )
    ]


@hookimpl
def inferix_kv_policies() -> Iterable[Spec]:
    """MAGI-1's attention ranges."""
    return [
        Spec(
            name="magi-ranges",
            summary="How many blocks a block sees depends on its level: more while noisy, fewer when clean (MAGI-1).",
            implementation="inferix_magi.ranges:MagiRanges",
            config=MagiRangesConfig,
        )
    ]
