"""The MAGI-1 model as the engine sees it: transformer, text encoder, geometry.

Letters: B worlds, L latents of a pass, C channels, h, w frame height and width as given, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from inferix_core.contracts.decoder import FrameEncoder
from inferix_core.contracts.model import Conditions, Fit, Layer, PassInput
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import ConfigError, SignalError
from inferix_core.plan import Geometry
from inferix_core.signals import Signal
from inferix_core.text.base import TextEncoder
from torch import Tensor

from inferix_magi.captions import CAPTION, Captions, SpecialTokens
from inferix_magi.geometry import magi_layout
from inferix_magi.prefix import Prefix, prefix_latents
from inferix_magi.transformer.layers import PassState
from inferix_magi.transformer.transformer import MagiTransformer


class MagiModel:
    """Implements the core's `Model` over a transformer whose weights stand already.

    Latents between passes are in float32, whatever the network runs in. `geometry` is made by `magi_geometry`.
    A `distilled` model is told the size of the planner's steps.
    """

    def __init__(
        self,
        transformer: MagiTransformer,
        *,
        text_encoder: TextEncoder,
        geometry: Geometry,
        special_tokens: SpecialTokens | None = None,
        distilled: bool = False,
    ) -> None:
        self.geometry = geometry
        self.layout = magi_layout(transformer.config, geometry)
        self.num_heads = transformer.config.num_heads
        self.dtype = transformer.dtype
        self.latent_dtype = torch.float32
        self.layers: Sequence[Layer] = transformer.layers
        self.transformer = transformer
        self._captions = Captions(transformer, special_tokens)
        self._text_encoder = text_encoder
        self._distilled = distilled

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """See `Model.encode`. A world without a prompt runs under the empty one; actions are not understood."""
        if signal.action is not None:
            raise SignalError(
                f"The action '{signal.action}' was sent, but this model takes none: steer it with a prompt."
            )
        conditions = {} if previous is None else dict(previous)
        if CAPTION not in conditions or signal.prompt is not None:
            conditions[CAPTION] = self._captions.caption(self._text_encoder.encode(signal.prompt or ""))
        return conditions

    @torch.no_grad()
    def encode_prefix(self, frames: Tensor, *, fit: Fit | None, encoder: FrameEncoder, planner: Planner) -> Prefix:
        """A beginning made of a picture [1, h, w, 3] or a video [T, h, w, 3], uint8, of any size.

        They are stretched to the model's size unless `fit` says otherwise; of a video the first 32 frames are taken.
        Raises `ConfigError` for what are no frames.
        """
        return Prefix(prefix_latents(frames, fit=fit or "stretch", encoder=encoder, geometry=self.geometry))

    def embed(self, pass_input: PassInput) -> PassState:
        """See `Model.embed`. Raises `ConfigError` where model and planner do not agree on whether it is distilled."""
        if (pass_input.step_size is not None) != self._distilled:
            mine, asked = ("distilled", "three-way") if self._distilled else ("three-way", "distilled")
            raise ConfigError(
                f"The planner's guidance is '{asked}', but model.distilled = {str(self._distilled).lower()}: set "
                f"planner.guidance = '{mine}', or model.distilled, whichever the weights are."
            )
        return self.transformer.embed(pass_input, captions=self._captions.chosen(pass_input))

    def head(self, state: PassState) -> Tensor:
        """See `Model.head`: the velocity, clean minus noise, [B, L, C, h, w]."""
        return self.transformer.head(state)

    def shard(self, state: PassState, tokens: range) -> PassState:
        """See `ShardedModel.shard`."""
        return self.transformer.shard(state, tokens)

    def head_of_shards(self, state: PassState, gather: Callable[[Tensor], Tensor]) -> Tensor:
        """See `ShardedModel.head_of_shards`; a token's patch is sent, which is far smaller than the token."""
        return self.transformer.head(state, gather=gather)

    def tokens(self, state: PassState) -> Tensor:
        """See `StagedModel.tokens`."""
        return state.tokens

    def with_tokens(self, state: PassState, tokens: Tensor) -> PassState:
        """See `StagedModel.with_tokens`."""
        return replace(state, tokens=tokens)
