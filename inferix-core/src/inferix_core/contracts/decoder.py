"""Decoders turn clean latents into frames and keep their history in a state that they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Decoder(Protocol):
    """Built as `implementation(config, *, geometry, device, dtype)`. Functional: a state is never modified."""

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Frames `[T, 3, H, W]`, float in [-1, 1], of latents `[L, C, h, w]`, and the state for the next call.

        `state` is None at the start of a stream. Cutting a stream into calls anywhere gives the same frames; a decoder
        whose network decodes latents in groups documents how many, and keeps this for cuts between groups.

        States are plain data, so that worlds can be saved: None, numbers, strings, tensors, and tuples, lists and
        dicts of these with string keys. Going on from an equal state gives the same frames, bit for bit.
        """


class FrameEncoder(Protocol):
    """What a decoder offers besides if its spec provides "encode". Functional, as decoding is."""

    def encode(self, frames: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Latents `[L, C, h, w]` of frames `[T, 3, H, W]`, float in [-1, 1], and the state for the next call.

        `state` is None at the start of a stream. Cutting a stream into calls anywhere (or between groups of latents,
        as above) gives the same latents. Frames that do not fill a latent wait in the state, so that L may be 0.
        """
