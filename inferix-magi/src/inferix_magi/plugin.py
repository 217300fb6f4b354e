"""What this package brings, declared without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import ComponentConfig, ModelSpec, Spec

from inferix_magi.config import MagiPlannerConfig, MagiRangesConfig, VelocityConfig
from inferix_magi.models import model_specs
from inferix_magi.vae.config import MagiVaeConfig


@hookimpl
def inferix_models() -> Iterable[ModelSpec]:
    """MAGI-1."""
    return model_specs()


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
            provides=frozenset({"follows-planner"}),
        )
    ]


@hookimpl
def inferix_decoders() -> Iterable[Spec]:
    """The ViT VAE."""
    return [
        Spec(
            name="magi-vae",
            summary="The ViT VAE of MAGI-1, in overlapping tiles; each block is decoded for itself.",
            implementation="inferix_magi.decoder:MagiVaeDecoder",
            config=MagiVaeConfig,
            check="inferix_magi.vae.building:check_files",
            provides=frozenset({"encode"}),
        )
    ]


@hookimpl
def inferix_quantizers() -> Iterable[Spec]:
    """The fp8 weights that the authors publish."""
    return [
        Spec(
            name="magi-fp8",
            summary="MAGI-1's own fp8 weights as they are; by the fp8 kernel where there is one, else in float32.",
            implementation="inferix_magi.quantized.quantizer:PackedWeights",
            config=ComponentConfig,
        )
    ]


@hookimpl
def inferix_weights() -> Iterable[Spec]:
    """The weights of MAGI-1."""
    return [
        Spec(
            name="magi",
            summary="MAGI-1: transformers of 4.5B and 24B (base, distilled, fp8), VAE, T5.",
            implementation="inferix_magi.checkpoints.family:family",
        )
    ]
