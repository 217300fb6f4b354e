"""Worlds that begin with a picture or a video."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from inferix_core.errors import SignalError, UnsupportedError
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.configuration import ResolvedConfig
    from inferix_core.contracts.decoder import FrameEncoder
    from inferix_core.contracts.model import Beginning, PrefixModel
    from inferix_core.contracts.scheduler import Planner
    from inferix_core.plan import Progress
    from inferix_core.runtime.engine import Engine
    from inferix_core.specs import ModelSpec


def check_beginning(config: ResolvedConfig, *, is_video: bool) -> None:
    """Raises `UnsupportedError` where the model continues no picture (or no video), or the decoder encodes nothing."""
    what, ability = ("a video", "video-prefix") if is_video else ("a picture", "image-prefix")
    if ability not in config.model.provides:
        raise UnsupportedError(
            f"A world of '{config.model.name}' cannot begin with {what}: the model does not provide '{ability}'. "
            "Leave it out, or choose a model that does; see `inferix plugins show model NAME`."
        )
    decoder = config.required(Kind.DECODER).component
    if "encode" not in decoder.spec.provides:
        raise UnsupportedError(
            f"A world cannot begin with {what} under the decoder '{decoder.name}', which does not provide 'encode'. "
            "Choose the model's own decoder."
        )


def check_no_beginning(model: ModelSpec) -> None:
    """Raises `SignalError` for a model whose worlds begin with a picture."""
    if model.needs_picture:
        raise SignalError(
            f"A world of '{model.name}' begins with a picture, but was given none: use --image, or "
            "create_world(frames=…)."
        )


def beginning_of(engine: Engine, frames: Tensor, *, fit: str | None) -> Beginning:
    """What the engine's model makes of frames `[T, h, w, 3]` uint8. Raises as `check_beginning`, `encode_prefix` do."""
    import torch  # the check above is made without it

    from inferix_core.runtime.split_decoding import SplitDecoding

    if engine.config is not None:
        check_beginning(engine.config, is_video=len(frames) > 1)
    model = cast("PrefixModel", engine.parts.model)
    with torch.inference_mode():
        decoder = engine.decoder
        encoder = cast("FrameEncoder", decoder.whole if isinstance(decoder, SplitDecoding) else decoder)
        return model.encode_prefix(frames, fit=fit, encoder=encoder, planner=engine.parts.planner)


def check_plan(planner: Planner, progress: Progress) -> None:
    """Raises `PlanError` for a prefix or a horizon that cannot be planned: in the blocks of the prefix or the next."""
    from inferix_core.plan import Prefill  # the checks above are made without it

    while any(isinstance(op, Prefill) for op in planner.plan(progress)):
        progress = replace(progress, num_finished=progress.num_finished + 1)
