"""What this package brings. Listing and validating read this module alone, so it imports no tensor library."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import ModelSpec, Spec, StreamerSpec

from inferix_example.config import LandmarksConfig, PondConfig, PondPlannerConfig, RhythmConfig


@hookimpl
def inferix_models() -> Iterable[ModelSpec]:
    """The pond, and the components that belong to it unless the user says otherwise."""
    yield ModelSpec(
        name="pond",
        summary="Waves on a pond, computed exactly; springs are prompts, drops are actions.",
        implementation="inferix_example.pond:Pond",
        config=PondConfig,
        preset={
            "planner": {"use": "pond"},
            "solver": {"use": "direct"},
            "decoder": {"use": "pond-light"},
            "kv": {"policy": {"use": "landmarks"}},
        },
        actions=("none", "drop", "recall"),
    )


@hookimpl
def inferix_schedulers() -> Iterable[Spec]:
    """One pass that computes a block, and one that commits it."""
    yield Spec(
        "pond", "One pass that computes, one that commits.", "inferix_example.planner:PondPlanner", PondPlannerConfig
    )


@hookimpl
def inferix_solvers() -> Iterable[Spec]:
    """Predictions are clean latents already."""
    yield Spec("direct", "Takes the prediction as the clean latents.", "inferix_example.planner:DirectSolver")


@hookimpl
def inferix_decoders() -> Iterable[Spec]:
    """Light on water."""
    yield Spec("pond-light", "Shades the slopes of the water.", "inferix_example.light:PondLight")


@hookimpl
def inferix_kv_policies() -> Iterable[Spec]:
    """Landmarks, for any model."""
    yield Spec(
        name="landmarks",
        summary="Every n-th latent stays for ever, and the last ones besides.",
        implementation="inferix_example.landmarks:LandmarksPolicy",
        config=LandmarksConfig,
    )


@hookimpl
def inferix_streamers() -> Iterable[StreamerSpec]:
    """Video without compression, chosen by the suffix of the file."""
    yield StreamerSpec(
        name="y4m",
        summary="Writes uncompressed video that players and encoders read.",
        implementation="inferix_example.y4m:Y4MStreamer",
        targets=(".y4m",),
    )


@hookimpl
def inferix_profilers() -> Iterable[Spec]:
    """How evenly blocks come."""
    yield Spec(
        name="rhythm",
        summary="Tells how evenly blocks come.",
        implementation="inferix_example.rhythm:Rhythm",
        config=RhythmConfig,
    )
