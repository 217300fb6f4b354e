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


class Columns(Protocol):
    """What a decoder that has some columns of a picture alone asks of the ranks that have the others.

    Every rank asks the same in one order. Widths may have grown by the same factor everywhere.
    """

    def widened(self, x: Tensor) -> Tensor:
        """`x` `[..., W]` with the nearest column of either neighbour, `[..., W + 2]`; zeros at the picture's edges."""

    def gathered(self, x: Tensor) -> Tensor:
        """The columns of all ranks, in order, of `x` `[..., W]`."""


class SplitDecoder(Decoder, Protocol):
    """A decoder whose spec provides "split-width": each rank makes some columns of the frames."""

    def decode_columns(self, latents: Tensor, state: Any, *, columns: Columns) -> tuple[Tensor, Any]:
        """As `decode`, for some columns of the latents: `[L, C, h, some w]` to the frames' columns above them.

        Put together they are the frames of `decode`, but for rounding. Every tensor in the state has columns on its
        last axis, in proportion to the latents', so that states can be put together and cut.
        """


class FrameEncoder(Protocol):
    """What a decoder offers besides if its spec provides "encode". Functional, as decoding is."""

    def encode(self, frames: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Latents `[L, C, h, w]` of frames `[T, 3, H, W]`, float in [-1, 1], and the state for the next call.

        `state` is None at the start of a stream. Cutting a stream into calls anywhere (or between groups of latents,
        as above) gives the same latents. Frames that do not fill a latent wait in the state, so that L may be 0.
        """
