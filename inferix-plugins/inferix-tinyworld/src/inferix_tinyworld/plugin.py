"""What this package brings, declared without loading torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import ModelSpec, Spec

from inferix_tinyworld.config import TinyWorldConfig, TinyWorldVaeConfig
from inferix_tinyworld.scene import ACTIONS

NUM_WINDOW_LATENTS = 6
"""Latents that a block sees, its own three included; the network is trained with exactly this window."""

_PRESET: Mapping[str, Any] = {
    "num_threads": 1,  # the network is too small for more: they would wait for each other
    "planner": {"use": "self-forcing", "num_block_latents": 3},
    "solver": {"use": "few-step"},
    "decoder": {"use": "tinyworld-vae"},
    "kv": {"store": {"use": "paged"}, "policy": {"use": "window", "num_window_latents": NUM_WINDOW_LATENTS}},
    "world": {"num_rewind_blocks": 4},  # 3 s of video for 38 MiB, nearly all of it decoder states
}


@hookimpl
def inferix_models() -> Iterable[ModelSpec]:
    """Tinyworld, the default where it is installed."""
    yield ModelSpec(
        name="tinyworld",
        summary="A coloured ball or box that rolls, bounces or rests under a sky; 128x128 at 16 fps, runs on a CPU.",
        implementation="inferix_tinyworld.model:TinyWorldModel",
        config=TinyWorldConfig,
        provides=frozenset(
            {"quantize", "image-prefix", "video-prefix", "window-relative", "token-sharding", "layer-stages"}
        ),
        preset=_PRESET,
        actions=ACTIONS,
        default_priority=10,
        drift="inferix_tinyworld.drift:measure_drift",
        outline="inferix_tinyworld.outline:outline",
    )


@hookimpl
def inferix_decoders() -> Iterable[Spec]:
    """The VAE that made tinyworld's latents."""
    yield Spec(
        name="tinyworld-vae",
        summary="The Wan VAE at tiny dims, trained with tinyworld; streaming.",
        implementation="inferix_tinyworld.decoder:TinyWorldDecoder",
        config=TinyWorldVaeConfig,
        provides=frozenset({"encode", "split-width"}),
    )
