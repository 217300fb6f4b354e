"""The Wan model as the engine sees it: transformer, text encoder, geometry.

Letters: B worlds, L latents of a pass, C channels, T text tokens, H, W frame height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from inferix_core.contracts.decoder import FrameEncoder
from inferix_core.contracts.model import Condition, Conditions, Fit, Layer, PassInput
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import SignalError
from inferix_core.pictures import fitted_frames
from inferix_core.plan import Geometry
from inferix_core.signals import Signal
from inferix_core.text.base import TextEncoder
from torch import Tensor

from inferix_wan.geometry import wan_layout
from inferix_wan.prefix import Prefix, prefix_latents
from inferix_wan.transformer.conditions import NEGATIVE_TEXT, TEXT
from inferix_wan.transformer.transformer import PassState, WanTransformer


class WanModel:
    """Implements the core's `ShardedModel` and `StagedModel` over a transformer whose weights stand already.

    The network runs in the dtype of its weights; latents between passes have the precision of its residuals.
    `geometry` is made by `wan_geometry`. `negative_prompt` is what guided plans lead away from, None for a model
    without guidance.
    """

    def __init__(
        self,
        transformer: WanTransformer,
        *,
        text_encoder: TextEncoder,
        geometry: Geometry,
        negative_prompt: str | None = None,
    ) -> None:
        weight = transformer.patch_embedding.weight
        self.geometry = geometry
        self.layout = wan_layout(transformer.config, geometry)
        self.dtype = weight.dtype
        self.latent_dtype = torch.float32 if transformer.config.residual_precision == "float32" else weight.dtype
        self.layers: Sequence[Layer] = list(transformer.layers)
        self.num_heads = transformer.config.num_heads
        self.transformer = transformer
        self._text_encoder = text_encoder
        self._negative_prompt = negative_prompt
        self._device = weight.device

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """See `Model.encode`. A world without a prompt runs under the empty one; actions are not understood.

        Parts of a prefix stay as they are. A negative prompt holds until another comes; a model without guidance
        takes none.
        """
        if signal.action is not None:
            raise SignalError(
                f"The action '{signal.action}' was sent, but this model takes none: steer it with a prompt."
            )
        if signal.negative_prompt is not None and self._negative_prompt is None:
            raise SignalError(
                f"The negative prompt '{signal.negative_prompt}' was sent, but this model is not guided: leave it out."
            )
        conditions = {} if previous is None else dict(previous)
        if TEXT not in conditions or signal.prompt is not None:
            conditions[TEXT] = self.encode_text(signal.prompt or "")
        if signal.negative_prompt is not None:
            conditions[NEGATIVE_TEXT] = self.encode_text(signal.negative_prompt)
        elif self._negative_prompt is not None:
            conditions.setdefault(NEGATIVE_TEXT, self._negative_text)
        return conditions

    def encode_text(self, prompt: str) -> Condition:
        """The text part of the conditions: tokens [1, text_len, dim]."""
        embeds = self._text_encoder.encode(prompt).to(self._device, self.dtype)
        if embeds.shape[0] > self.transformer.config.text_len:
            raise SignalError(
                f"The prompt has {embeds.shape[0]} tokens, but the model takes at most "
                f"{self.transformer.config.text_len}: shorten it."
            )
        return Condition(self.transformer.embed_text(embeds.unsqueeze(0)))

    @torch.no_grad()
    def encode_prefix(self, frames: Tensor, *, fit: Fit | None, encoder: FrameEncoder, planner: Planner) -> Prefix:
        """A beginning that the model goes on from: a picture [1, h, w, 3] or a video [T, h, w, 3], uint8, of any size.

        `encoder` is the decoder that will show the world, since latents are its own. See `prefix_latents` for how many
        frames are taken. Raises `ConfigError` for what are no frames, `PlanError` for a planner that continues nothing.
        """
        height, width = self.geometry.frame_height, self.geometry.frame_width
        fitted = fitted_frames(frames, height=height, width=width, fit=fit or "crop")
        return Prefix(prefix_latents(fitted, encoder=encoder, planner=planner, geometry=self.geometry))

    def embed(self, pass_input: PassInput) -> PassState:
        """See `Model.embed`."""
        return self.transformer.embed(pass_input)

    def head(self, state: PassState) -> Tensor:
        """See `Model.head`: the flow, noise minus clean, [B, L, C, h, w]."""
        flow: Tensor = self.transformer.head(state)
        return flow

    def shard(self, state: PassState, tokens: range) -> PassState:
        """See `ShardedModel.shard`."""
        return self.transformer.shard(state, tokens)

    def head_of_shards(self, state: PassState, gather: Callable[[Tensor], Tensor]) -> Tensor:
        """See `ShardedModel.head_of_shards`; a token's patch is sent, which is far smaller than the token."""
        flow: Tensor = self.transformer.head(state, gather=gather)
        return flow

    def tokens(self, state: PassState) -> Tensor:
        """See `StagedModel.tokens`."""
        return state.tokens

    def with_tokens(self, state: PassState, tokens: Tensor) -> PassState:
        """See `StagedModel.with_tokens`."""
        return replace(state, tokens=tokens)

    @cached_property
    def _negative_text(self) -> Condition:
        """One for all worlds, so that its keys and values are made once; encoded when the first world needs it."""
        return self.encode_text(self._negative_prompt or "")
