"""What this package brings, declared without loading torch."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import ModelSpec, Spec

from inferix_wan.config import (
    FewStepSolverConfig,
    SelfForcingPlannerConfig,
    TaehvDecoderConfig,
    WanVaeDecoderConfig,
)
from inferix_wan.models import model_specs
from inferix_wan.planners.config import (
    CausVidOverlapPlannerConfig,
    CausVidPlannerConfig,
    FewStepClipPlannerConfig,
    GuidedBlocksPlannerConfig,
    WholeClipPlannerConfig,
)
from inferix_wan.solvers.config import DpmPlusPlusSolverConfig, UniPCSolverConfig


@hookimpl
def inferix_models() -> Iterable[ModelSpec]:
    """Self Forcing, CausVid, and the Wan 2.1 base."""
    return model_specs()


@hookimpl
def inferix_schedulers() -> Iterable[Spec]:
    """The orders of passes: causal or whole clips, a few steps or many."""
    return [
        Spec(
            name="self-forcing",
            summary="A few denoising passes over one block, then a clean pass that commits it.",
            implementation="inferix_wan.planners.self_forcing:SelfForcingPlanner",
            config=SelfForcingPlannerConfig,
        ),
        Spec(
            name="causvid",
            summary="Self Forcing's passes in rollouts: positions start again over the last block of the one before.",
            implementation="inferix_wan.planners.causvid:CausVidPlanner",
            config=CausVidPlannerConfig,
        ),
        Spec(
            name="causvid-overlap",
            summary="CausVid's own way on: each rollout is decoded by itself, from a frame of the one before.",
            implementation="inferix_wan.planners.overlap:CausVidOverlapPlanner",
            config=CausVidOverlapPlannerConfig,
            provides=frozenset({"anchors"}),
        ),
        Spec(
            name="guided-blocks",
            summary="Many steps over one block, each under the prompt and under a negative one; both caches commit.",
            implementation="inferix_wan.planners.guided_blocks:GuidedBlocksPlanner",
            config=GuidedBlocksPlannerConfig,
        ),
        Spec(
            name="whole-clip",
            summary="A clip as one block, in many guided steps: bidirectional models.",
            implementation="inferix_wan.planners.clip:WholeClipPlanner",
            config=WholeClipPlannerConfig,
        ),
        Spec(
            name="few-step-clip",
            summary="A clip as one block, in a few steps: distilled bidirectional models.",
            implementation="inferix_wan.planners.clip:FewStepClipPlanner",
            config=FewStepClipPlannerConfig,
        ),
    ]


@hookimpl
def inferix_solvers() -> Iterable[Spec]:
    """The update rules of few-step and of multi-step models."""
    return [
        Spec(
            name="few-step",
            summary="Predicts the clean block at once and noises it again to the next level.",
            implementation="inferix_wan.solvers.few_step:FewStepSolver",
            config=FewStepSolverConfig,
        ),
        Spec(
            name="unipc",
            summary="UniPC, multi-step: predicts, and corrects the last prediction with the network's next one.",
            implementation="inferix_wan.solvers.unipc:UniPCSolver",
            config=UniPCSolverConfig,
        ),
        Spec(
            name="dpm-plus-plus",
            summary="DPM-Solver++, multi-step: extrapolates from the last clean estimates.",
            implementation="inferix_wan.solvers.dpm_plus_plus:DpmPlusPlusSolver",
            config=DpmPlusPlusSolverConfig,
        ),
    ]


@hookimpl
def inferix_decoders() -> Iterable[Spec]:
    """The Wan VAE, and a tiny one for the same latents."""
    return [
        Spec(
            name="wan-vae",
            summary="The causal Wan 2.1 VAE, streaming: a stream decodes the same however it is cut.",
            implementation="inferix_wan.decoder:WanVaeDecoder",
            check="inferix_wan.decoder:check_files",
            config=WanVaeDecoderConfig,
            provides=frozenset({"encode", "split-width"}),
        ),
        Spec(
            name="taehv",
            summary="TAEHV for the same latents: streaming, a fraction of the time and memory, somewhat less quality.",
            implementation="inferix_wan.tiny_vae.decoder:TaehvDecoder",
            config=TaehvDecoderConfig,
            provides=frozenset({"encode"}),
            check="inferix_wan.tiny_vae.decoder:check_files",
        ),
    ]


@hookimpl
def inferix_weights() -> Iterable[Spec]:
    """The weights of the Wan family."""
    return [
        Spec(
            name="wan",
            summary="Wan 2.1, Self Forcing and CausVid: transformers, VAE, UMT5, CLIP.",
            implementation="inferix_wan.checkpoints.family:family",
        )
    ]
