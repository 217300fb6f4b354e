"""What decoding leaves behind at the end of a rollout: the latent that the next one begins with, and no history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor

_KEY = "anchor latent"


def state_with_anchor(latent: Tensor) -> dict[str, Tensor]:
    """What takes the place of the decoder's state: the latent `[C, h, w]`, which is saved and forked as states are."""
    return {_KEY: latent}


def anchor_in(state: Any) -> Tensor | None:
    """The latent that stands in the place of a decoder's state; None where a decoder's own state does."""
    if isinstance(state, dict) and state.keys() == {_KEY}:
        return cast("Tensor", state[_KEY])
    return None
