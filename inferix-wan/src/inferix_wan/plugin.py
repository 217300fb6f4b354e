"""What this package brings, declared without loading torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import ModelSpec, Spec

from inferix_wan.config import FewStepSolverConfig, SelfForcingConfig, SelfForcingPlannerConfig, WanVaeDecoderConfig

_SELF_FORCING: Mapping[str, Any] = {
    "planner": {"use": "self-forcing"},
    "solver": {"use": "few-step"},
    "decoder": {"use": "wan-vae"},
    "kv": {"policy": {"use": "sink-window", "num_sink_latents": 0, "num_window_latents": 21}},
}
_MID: Mapping[str, Any] = {
    "model": {"size": "mid", "weights": "random", "height": 240, "width": 416},
    "decoder": {"weights": "random", "base_dim": 16, "num_res_blocks": 1},
    "kv": {"policy": {"num_window_latents": 9}},
}
_TINY_RANDOM: Mapping[str, Any] = {
    "model": {"size": "tiny-random", "weights": "random", "height": 64, "width": 96},
    "decoder": {"weights": "random", "base_dim": 4, "num_res_blocks": 1},
    "kv": {"policy": {"use": "full"}},  # runs with the core alone: a smoke test needs no bounded memory
}


@hookimpl
def inferix_models() -> Iterable[ModelSpec]:
    """Self Forcing."""
    return [
        ModelSpec(
            name="self-forcing",
            summary="Self Forcing on Wan 2.1: text to video, block after block, four denoising passes each.",
            implementation="inferix_wan.self_forcing_model:SelfForcingModel",
            config=SelfForcingConfig,
            provides=frozenset({"quantize", "window-relative"}),
            preset=_SELF_FORCING,
            presets={"mid": _MID, "tiny-random": _TINY_RANDOM},
        )
    ]


@hookimpl
def inferix_schedulers() -> Iterable[Spec]:
    """Self Forcing's order of passes."""
    return [
        Spec(
            name="self-forcing",
            summary="A few denoising passes over one block, then a clean pass that commits it.",
            implementation="inferix_wan.self_forcing:SelfForcingPlanner",
            config=SelfForcingPlannerConfig,
        )
    ]


@hookimpl
def inferix_solvers() -> Iterable[Spec]:
    """The update rule of few-step models."""
    return [
        Spec(
            name="few-step",
            summary="Predicts the clean block at once and noises it again to the next level.",
            implementation="inferix_wan.few_step_solver:FewStepSolver",
            config=FewStepSolverConfig,
        )
    ]


@hookimpl
def inferix_decoders() -> Iterable[Spec]:
    """The Wan VAE."""
    return [
        Spec(
            name="wan-vae",
            summary="The causal Wan 2.1 VAE, streaming: a stream decodes the same however it is cut.",
            implementation="inferix_wan.decoder:WanVaeDecoder",
            config=WanVaeDecoderConfig,
        )
    ]
