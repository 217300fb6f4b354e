"""Worlds that begin with a picture or a video."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from inferix_core.errors import UnsupportedError
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.configuration import ResolvedConfig
    from inferix_core.contracts.decoder import FrameEncoder
    from inferix_core.contracts.model import Beginning, PrefixModel
    from inferix_core.runtime.engine import Engine


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


def beginning_of(engine: Engine, frames: Tensor, *, fit: str) -> Beginning:
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
