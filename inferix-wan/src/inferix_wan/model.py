"""The Wan model as the engine sees it: transformer, text encoder, geometry.

Letters: B worlds, L latents of a pass, C channels, T text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.contracts.model import Condition, Conditions, Layer, PassInput
from inferix_core.errors import SignalError
from inferix_core.plan import Geometry
from inferix_core.signals import Signal
from torch import Tensor

from inferix_wan.geometry import wan_layout
from inferix_wan.text import TextEncoder
from inferix_wan.transformer.transformer import CausalWanTransformer, PassState

TEXT = "text"


class WanModel:
    """Implements the core's `Model` over a transformer whose weights stand already.

    The network runs in the dtype of its weights, and latents between passes have it as well. `geometry` is made by
    `wan_geometry`.
    """

    def __init__(self, transformer: CausalWanTransformer, *, text_encoder: TextEncoder, geometry: Geometry) -> None:
        weight = transformer.patch_embedding.weight
        self.geometry = geometry
        self.layout = wan_layout(transformer.config, geometry)
        self.dtype = self.latent_dtype = weight.dtype
        self.layers: Sequence[Layer] = list(transformer.layers)
        self.transformer = transformer
        self._text_encoder = text_encoder
        self._device = weight.device

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """See `Model.encode`. A world without a prompt runs under the empty one; actions are not understood."""
        if signal.action is not None:
            raise SignalError(
                f"The action '{signal.action}' was sent, but this model takes none: steer it with a prompt."
            )
        text = None if previous is None else previous.get(TEXT)
        if text is None or signal.prompt is not None:
            text = self.encode_text(signal.prompt or "")
        return {TEXT: text}

    def encode_text(self, prompt: str) -> Condition:
        """The text part of the conditions: tokens [1, text_len, dim]."""
        embeds = self._text_encoder.encode(prompt).to(self._device, self.dtype)
        if embeds.shape[0] > self.transformer.config.text_len:
            raise SignalError(
                f"The prompt has {embeds.shape[0]} tokens, but the model takes at most "
                f"{self.transformer.config.text_len}: shorten it."
            )
        return Condition(self.transformer.embed_text(embeds.unsqueeze(0)))

    def embed(self, pass_input: PassInput) -> PassState:
        """See `Model.embed`."""
        return self.transformer.embed(pass_input)

    def head(self, state: PassState) -> Tensor:
        """See `Model.head`: the flow, noise minus clean, [B, L, C, h, w]."""
        flow: Tensor = self.transformer.head(state)
        return flow
