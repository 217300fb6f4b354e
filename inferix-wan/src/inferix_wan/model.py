"""The Wan model as the engine sees it: transformer, text encoder, geometry.

Letters: B worlds, L latents of a pass, C channels, T text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.contracts.model import Condition, Conditions, Layer, PassInput
from inferix_core.errors import ConfigError, SignalError
from inferix_core.plan import FieldShape, Geometry, KVLayout
from inferix_core.signals import Signal
from torch import Tensor

from inferix_wan.text import TextEncoder
from inferix_wan.transformer.transformer import CausalWanTransformer, PassState

TEXT = "text"


class WanModel:
    """Implements the core's `Model` over a transformer whose weights stand already.

    The network runs in the dtype of its weights, and latents between passes have it as well. Raises `ConfigError`
    for a frame size that the VAE's stride times the patch does not divide.
    """

    def __init__(
        self,
        transformer: CausalWanTransformer,
        *,
        text_encoder: TextEncoder,
        height: int,
        width: int,
        fps: float = 16.0,
        spatial_stride: int = 8,
    ) -> None:
        config = transformer.config
        _, patch_rows, patch_columns = config.patch_size
        _check_multiple("height", height, spatial_stride * patch_rows)
        _check_multiple("width", width, spatial_stride * patch_columns)
        rows, columns = height // spatial_stride, width // spatial_stride
        tokens_per_latent = (rows // patch_rows) * (columns // patch_columns)
        weight = transformer.patch_embedding.weight
        page_field = FieldShape((config.num_heads, config.head_dim))
        self.geometry = Geometry((config.in_channels, rows, columns), tokens_per_latent, height, width, fps=fps)
        self.layout = KVLayout(config.num_layers, tokens_per_latent, {"k": page_field, "v": page_field})
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


def _check_multiple(name: str, size: int, multiple: int) -> None:
    if size % multiple == 0:
        return
    below = size - size % multiple
    accepted = f"{below} or {below + multiple}" if below else f"{multiple}"
    raise ConfigError(
        f"A frame {name} of {size} pixels was asked for, but this model makes multiples of {multiple}: use {accepted}."
    )
