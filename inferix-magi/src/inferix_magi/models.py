"""The model that this package brings, with its presets; free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inferix_core.specs import ModelSpec

from inferix_magi.config import MagiModelConfig
from inferix_magi.sizes import Size

_MAGI: Mapping[str, Any] = {
    "planner": {"use": "magi"},
    "solver": {"use": "velocity"},
    "decoder": {"use": "magi-vae"},
    "kv": {"policy": {"use": "magi-ranges"}},
}


_FP8: Mapping[str, Any] = {"quantizer": {"use": "magi-fp8"}}


def _preset(size: Size, *, num_steps: int, distilled: bool = False) -> dict[str, Any]:
    """A released model: model and planner agree on what is distilled."""
    return {
        "model": {"size": size, "distilled": distilled},
        "planner": {"num_steps": num_steps, "guidance": "distilled" if distilled else "three-way"},
    }


def _random(size: Size, *, height: int, width: int, num_steps: int) -> Mapping[str, Any]:
    """A model without files, at a size that a small machine bears."""
    preset = _preset(size, num_steps=num_steps)
    return {
        **preset,
        "model": {**preset["model"], "weights": "random", "height": height, "width": width},
        "decoder": {"weights": "random", "size": "tiny-random"},
    }


def model_specs() -> Iterable[ModelSpec]:
    """MAGI-1; presets are sizes, with the steps that the authors configure."""
    yield ModelSpec(
        name="magi",
        summary="MAGI-1: text, picture or video to video, four blocks of a second in flight at once.",
        implementation="inferix_magi.configured_model:magi_model",
        config=MagiModelConfig,
        provides=frozenset({"quantize", "image-prefix", "video-prefix", "token-sharding", "layer-stages"}),
        outline="inferix_magi.outline:outline",
        expansion="inferix_magi.official_config:expanded",
        preset=_MAGI,
        presets={
            "4.5B": _preset("4.5B", num_steps=64),
            "4.5B-distill": _preset("4.5B", num_steps=64, distilled=True),
            "4.5B-distill-fp8": {**_preset("4.5B", num_steps=64, distilled=True), **_FP8},
            "24B": _preset("24B", num_steps=32),
            "24B-distill": _preset("24B", num_steps=16, distilled=True),
            "24B-distill-fp8": {**_preset("24B", num_steps=16, distilled=True), **_FP8},
            "4.5B-layer": _random("4.5B-layer", height=64, width=64, num_steps=4),
            "24B-layer": _random("24B-layer", height=64, width=64, num_steps=4),
            "mid": _random("mid", height=128, width=128, num_steps=4),
            "tiny-random": _random("tiny-random", height=64, width=96, num_steps=8),
        },
    )
