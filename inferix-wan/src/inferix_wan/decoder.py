"""The Wan VAE as a decoder of the engine.

Letters: L latents, C latent channels, h, w latent height and width, T frames, H, W frame height and width.
"""

from __future__ import annotations

import torch
from inferix_core.errors import ConfigError
from inferix_core.plan import Geometry
from torch import Tensor

from inferix_wan.config import WanVaeDecoderConfig, checkpoint_path
from inferix_wan.initialisation import initialise
from inferix_wan.vae.config import VaeConfig
from inferix_wan.vae.model import State, WanVAE
from inferix_wan.weights import load_weights


class WanVaeDecoder:
    """Decodes a stream whose history lives in its state. Implements the core's `Decoder`.

    Raises `ConfigError` for latents that the VAE does not decode to the model's frames, and for missing weights;
    `CheckpointError` for a checkpoint that does not fit.
    """

    def __init__(
        self, config: WanVaeDecoderConfig, *, geometry: Geometry, device: torch.device, dtype: torch.dtype
    ) -> None:
        shape = VaeConfig(base_dim=config.base_dim, num_res_blocks=config.num_res_blocks)
        _check_geometry(shape, geometry)
        checkpoint = checkpoint_path(config, section="decoder")
        vae = WanVAE(shape)
        if checkpoint is not None:
            load_weights(vae, checkpoint, device=device, dtype=dtype)
        else:
            vae.requires_grad_(False).eval()
            initialise(vae, seed=config.weights_seed)
            vae.to(device=device, dtype=dtype)
        self._vae = vae.use_channels_last()

    def decode(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `Decoder.decode`."""
        frames, new_state = self._vae.decode(latents.unsqueeze(0), state)
        return frames[0], new_state


def _check_geometry(shape: VaeConfig, geometry: Geometry) -> None:
    channels, rows, columns = geometry.latent_shape
    stride = shape.spatial_stride
    if channels != shape.latent_dim:
        raise ConfigError(
            f"decoder: the Wan VAE decodes latents of {shape.latent_dim} channels, but the model makes {channels}: "
            "choose the decoder that belongs to the model."
        )
    if (rows * stride, columns * stride) != (geometry.frame_height, geometry.frame_width):
        raise ConfigError(
            f"decoder: the Wan VAE makes frames of {rows * stride}x{columns * stride} of these latents, but the model "
            f"means {geometry.frame_height}x{geometry.frame_width}: choose the decoder that belongs to the model."
        )
