"""The Wan VAE as a decoder of the engine, and as the encoder of what a world begins with.

Letters: L latents, C latent channels, h, w latent height and width, T frames, H, W frame height and width.
"""

from __future__ import annotations

import torch
from inferix_core.contracts.decoder import Columns
from inferix_core.plan import Geometry
from torch import Tensor

from inferix_wan.config import WanVaeDecoderConfig, checkpoint_path
from inferix_wan.geometry import check_decoded
from inferix_wan.initialisation import initialise
from inferix_wan.vae.config import VaeConfig
from inferix_wan.vae.model import State, WanVAE
from inferix_wan.weights import check_weights, load_weights


def check_files(config: WanVaeDecoderConfig) -> None:
    """Raises `ConfigError` for missing weights and `CheckpointError` for some that do not fit; reads none."""
    checkpoint = checkpoint_path(config, section="decoder")
    if checkpoint is not None:
        with torch.device("meta"):
            vae = WanVAE(VaeConfig(base_dim=config.base_dim, num_res_blocks=config.num_res_blocks))
        check_weights(vae, checkpoint)


class WanVaeDecoder:
    """Decodes a stream whose history lives in its state, and encodes one. Implements `SplitDecoder` and
    `FrameEncoder`.

    Raises `ConfigError` for latents that the VAE does not decode to the model's frames, and for missing weights;
    `CheckpointError` for a checkpoint that does not fit.
    """

    def __init__(
        self, config: WanVaeDecoderConfig, *, geometry: Geometry, device: torch.device, dtype: torch.dtype
    ) -> None:
        shape = VaeConfig(base_dim=config.base_dim, num_res_blocks=config.num_res_blocks)
        check_decoded(geometry, name="Wan VAE", num_channels=shape.latent_dim, spatial_stride=shape.spatial_stride)
        checkpoint = checkpoint_path(config, section="decoder")
        vae = WanVAE(shape)
        if checkpoint is not None:
            load_weights(vae, checkpoint, device=device, dtype=dtype)
        else:
            vae.requires_grad_(False).eval()
            initialise(vae, seed=config.weights_seed)
            vae.to(device=device, dtype=dtype)
        self._vae = vae.use_channels_last()
        self._device = device
        self._max_latents = config.max_latents

    def decode(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `Decoder.decode`. Long blocks are decoded in parts, since a whole clip's activations are large."""
        return self._decoded(latents, state, columns=None)

    def decode_columns(self, latents: Tensor, state: State | None, *, columns: Columns) -> tuple[Tensor, State]:
        """See `SplitDecoder.decode_columns`."""
        return self._decoded(latents, state, columns=columns)

    def _decoded(self, latents: Tensor, state: State | None, *, columns: Columns | None) -> tuple[Tensor, State]:
        frames = []
        for part in torch.split(latents, self._max_latents):
            made, state = self._vae.decode(part.unsqueeze(0), state, columns=columns)
            frames.append(made[0])
        assert state is not None, "a block has latents"
        return frames[0] if len(frames) == 1 else torch.cat(frames), state

    @torch.no_grad()
    def encode(self, frames: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `FrameEncoder.encode`. The frames may be on any device; latents are on the decoder's.

        Raises `ValueError` for frames of a size that the spatial stride does not divide.
        """
        latents, new_state = self._vae.encode(frames.to(self._device).unsqueeze(0), state)
        return latents[0], new_state
