"""The models that this package brings, with their presets; free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inferix_core.specs import ModelSpec

from inferix_wan.config import ImageToVideoConfig, SelfForcingConfig, TextToVideoConfig

NEGATIVE_PROMPT = ""
"""What guided models lead away from unless the user says otherwise."""

_TEXT = "inferix_wan.configured_model:text_model"
_IMAGE = "inferix_wan.configured_model:image_model"
_OUTLINE = "inferix_wan.outline:outline"

_WINDOW: Mapping[str, Any] = {"policy": {"use": "sink-window", "num_sink_latents": 0, "num_window_latents": 21}}
_SELF_FORCING: Mapping[str, Any] = {
    "planner": {"use": "self-forcing"},
    "solver": {"use": "few-step"},
    "decoder": {"use": "wan-vae"},
    "kv": _WINDOW,
}
_SELF_FORCING_DIFFUSION: Mapping[str, Any] = {
    "model": {"negative_prompt": NEGATIVE_PROMPT},
    "planner": {"use": "guided-blocks"},
    "solver": {"use": "unipc"},
    "decoder": {"use": "wan-vae"},
    "kv": _WINDOW,
}
_CAUSVID: Mapping[str, Any] = {
    "planner": {"use": "causvid"},
    "solver": {"use": "few-step"},
    "decoder": {"use": "wan-vae"},
    "kv": _WINDOW,
}
_OVERLAP: Mapping[str, Any] = {"planner": {"use": "causvid-overlap"}}
_CLIP: Mapping[str, Any] = {
    "model": {"negative_prompt": NEGATIVE_PROMPT},
    "planner": {"use": "whole-clip"},
    "solver": {"use": "unipc"},
    "decoder": {"use": "wan-vae"},
}
_CLIP_OF_PICTURE: Mapping[str, Any] = {**_CLIP, "planner": {"use": "whole-clip", "num_steps": 40, "shift": 3.0}}

_SMALL: Mapping[str, Any] = {"model": {"size": "1.3B"}}
_LARGE: Mapping[str, Any] = {"model": {"size": "14B"}}
_LARGE_720P: Mapping[str, Any] = {"model": {"size": "14B", "height": 720, "width": 1280}, "planner": {"shift": 5.0}}
_MID: Mapping[str, Any] = {
    "model": {"size": "mid", "weights": "random", "height": 240, "width": 416},
    "decoder": {"weights": "random", "base_dim": 16, "num_res_blocks": 1},
    "kv": {"policy": {"num_window_latents": 9}},
}
_TINY: Mapping[str, Any] = {
    "model": {"size": "tiny-random", "weights": "random", "height": 64, "width": 96},
    "decoder": {"weights": "random", "base_dim": 4, "num_res_blocks": 1},
    "kv": {"policy": {"use": "full"}},  # runs with the core alone: a smoke test needs no bounded memory
}
_TINY_STEPS: Mapping[str, Any] = {**_TINY, "planner": {"num_steps": 4}}
_SPREAD = frozenset({"token-sharding", "layer-stages"})
_CAUSAL = _SPREAD | {"quantize", "image-prefix", "video-prefix", "window-relative"}
_GUIDED = _SPREAD | {"quantize", "negative-prompt"}


def model_specs() -> Iterable[ModelSpec]:
    """Causal models, and the bidirectional base; presets are sizes."""
    yield ModelSpec(
        name="self-forcing",
        summary="Self Forcing on Wan 2.1: text to video, block after block, four denoising passes each.",
        implementation=_TEXT,
        config=SelfForcingConfig,
        provides=_CAUSAL,
        outline=_OUTLINE,
        preset=_SELF_FORCING,
        presets={"1.3B": _SMALL, "mid": _MID, "tiny-random": _TINY},
    )
    yield ModelSpec(
        name="self-forcing-diffusion",
        summary="Causal Wan 2.1 that is not distilled: text to video, block after block, 50 guided steps each.",
        implementation=_TEXT,
        config=SelfForcingConfig,
        provides=_CAUSAL | _GUIDED,
        outline=_OUTLINE,
        preset=_SELF_FORCING_DIFFUSION,
        presets={"1.3B": _SMALL, "tiny-random": _TINY_STEPS},
    )
    yield ModelSpec(
        name="causvid",
        summary="CausVid on Wan 2.1: text to video, three denoising passes for each block, in rollouts of 21 latents.",
        implementation=_TEXT,
        config=SelfForcingConfig,
        provides=_CAUSAL,
        outline=_OUTLINE,
        preset=_CAUSVID,
        presets={"1.3B": _SMALL, "overlap": _OVERLAP, "tiny-random": _TINY},
    )
    yield ModelSpec(
        name="wan-t2v",
        summary="Wan 2.1, bidirectional: a clip of 81 frames from text, in 50 guided steps.",
        implementation=_TEXT,
        config=TextToVideoConfig,
        provides=_GUIDED,
        outline=_OUTLINE,
        preset=_CLIP,
        presets={"1.3B": _SMALL, "14B": _LARGE, "14B-720p": _LARGE_720P, "tiny-random": _TINY_STEPS},
    )
    yield ModelSpec(
        name="wan-i2v",
        summary="Wan 2.1, bidirectional: a clip of 81 frames from a picture and text, in 40 guided steps.",
        implementation=_IMAGE,
        config=ImageToVideoConfig,
        provides=_GUIDED | {"image-prefix"},
        needs_picture=True,
        outline=_OUTLINE,
        preset=_CLIP_OF_PICTURE,
        presets={"14B": _LARGE, "14B-720p": _LARGE_720P, "tiny-random": _TINY_STEPS},
    )
