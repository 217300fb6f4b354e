"""The Wan model that makes a clip from a picture.

Letters: L latents, C channels, H, W frame height and width.
"""

from __future__ import annotations

import torch
from inferix_core.contracts.decoder import FrameEncoder
from inferix_core.contracts.model import Condition, Fit, PassInput
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import ConfigError, SignalError
from inferix_core.pictures import fitted_frames
from inferix_core.plan import Geometry
from inferix_core.text.base import TextEncoder
from torch import Tensor

from inferix_wan.image.clip_encoder import ClipImageEncoder
from inferix_wan.model import WanModel
from inferix_wan.prefix import Prefix, encoded
from inferix_wan.transformer.conditions import IMAGE, IMAGE_LATENTS, image_latents
from inferix_wan.transformer.transformer import PassState, WanTransformer


class WanImageModel(WanModel):
    """A `WanModel` whose worlds begin with a picture: part of their conditions, not of their latents."""

    def __init__(
        self,
        transformer: WanTransformer,
        *,
        text_encoder: TextEncoder,
        image_encoder: ClipImageEncoder,
        geometry: Geometry,
        negative_prompt: str | None = None,
        max_latents: int = 21,
    ) -> None:
        super().__init__(transformer, text_encoder=text_encoder, geometry=geometry, negative_prompt=negative_prompt)
        self._image_encoder = image_encoder
        self._max_latents = max_latents

    @torch.no_grad()
    def encode_prefix(self, frames: Tensor, *, fit: Fit | None, encoder: FrameEncoder, planner: Planner) -> Prefix:
        """The parts of the conditions that a picture [1, h, w, 3] uint8, of any size, makes.

        They are its CLIP tokens, and the latents of a video that is the picture and then grey, for as many latents as
        the longest clip has: of causal latents the first are the same however many follow.
        Raises `ConfigError` for what is no picture, or several.
        """
        height, width = self.geometry.frame_height, self.geometry.frame_width
        fitted = fitted_frames(frames, height=height, width=width, fit=fit or "crop")
        if len(fitted) > 1:
            raise ConfigError(
                f"A video of {len(fitted)} frames was given, but this model makes a clip from one picture: give its "
                "first or last frame, or use a causal model to continue it."
            )
        tokens = self.transformer.embed_image(self._image_encoder.encode(fitted).to(self._device, self.dtype))
        num_frames = self.geometry.num_frames(range(self._max_latents))
        video = torch.cat([fitted, fitted.new_zeros(()).expand(num_frames - 1, *fitted.shape[1:])])
        latents = encoded(video, encoder=encoder, geometry=self.geometry)
        beside = image_latents(latents.to(self._device, self.latent_dtype))
        return Prefix(conditions={IMAGE: Condition(tokens), IMAGE_LATENTS: beside})

    def embed(self, pass_input: PassInput) -> PassState:
        """See `Model.embed`. Raises `SignalError` for a world without a picture or longer than its picture's parts."""
        for conditions, positions in zip(pass_input.conditions, pass_input.positions, strict=True):
            for of_entry in conditions:
                self._check(of_entry.get(IMAGE_LATENTS), last_position=max(positions))
        return super().embed(pass_input)

    def _check(self, beside: Condition | None, *, last_position: int) -> None:
        if beside is None:
            raise SignalError(
                "This model makes a clip from a picture, but the world was given none: use --image, or "
                "create_world(frames=…)."
            )
        if last_position >= beside.tokens.shape[1]:
            raise ConfigError(
                f"The clip has {last_position + 1} latents, but pictures are encoded for {beside.tokens.shape[1]}: set "
                "model.max_latents to planner.num_latents."
            )
