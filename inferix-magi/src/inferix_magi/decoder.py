"""The ViT VAE as a decoder of the engine, and as the encoder of what a world begins with.

Letters: L latents, Z latent channels, h, w latent height and width, T frames, H, W frame height and width.
"""

from __future__ import annotations

import torch
from inferix_core.errors import ConfigError
from inferix_core.plan import Geometry
from torch import Tensor

from inferix_magi.vae.building import configured_shape, configured_vae
from inferix_magi.vae.config import MagiVaeConfig, VaeConfig
from inferix_magi.vae.tiling import Axes, Axis, decode_tiled, encode_tiled

LATENT_SCALE = 0.18215
"""What latents are multiplied by after they are encoded, and divided by before they are decoded."""

State = None | Tensor
"""Frames that do not fill a latent yet [T, 3, H, W]; nothing is carried on by decoding."""


class MagiVaeDecoder:
    """Decodes blocks in tiles, each block for itself. Implements `Decoder` and `FrameEncoder`.

    The network lets every position of a tile see every other, in time too. So latents are decoded in groups of
    `num_tile_latents`, counted from the beginning of each call, and streams keep their frames and latents where they
    are cut between groups; a last group may be shorter. Each latent makes four frames, the first of a stream as well.

    Raises `ConfigError` for latents that the VAE does not decode to the model's frames, for tiles that it cannot be
    cut into, and for missing weights; `CheckpointError` for a checkpoint that does not fit.
    """

    def __init__(self, config: MagiVaeConfig, *, geometry: Geometry, device: torch.device, dtype: torch.dtype) -> None:
        shape = configured_shape(config)
        _check_geometry(shape, geometry)
        self._axes = _axes(config, shape)
        self._vae = configured_vae(config, shape, device=device, dtype=dtype)
        self._device = device
        self._dtype = dtype

    def decode(self, latents: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Decoder.decode`. There is no state: blocks are decoded one by one, as in the original."""
        scaled = (latents.to(self._dtype) / LATENT_SCALE).transpose(0, 1).unsqueeze(0)
        frames = decode_tiled(self._vae.decode, scaled, self._axes)
        return frames[0].transpose(0, 1).clamp(-1.0, 1.0).to(latents.dtype), None

    @torch.no_grad()
    def encode(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """See `FrameEncoder.encode`. A picture is to be repeated for as many frames as a latent has.

        Frames may be on any device; latents are on the decoder's.
        Raises `ConfigError` for frames of a size that makes no whole latent positions.
        """
        _check_frames(frames, patch=self._vae.config.patch_size)
        if state is not None:
            frames = torch.cat([state.to(frames), frames])
        num_ready = len(frames) // self._vae.config.patch_frames * self._vae.config.patch_frames
        waiting = frames[num_ready:].clone() if num_ready < len(frames) else None
        if num_ready == 0:
            side = self._vae.config.patch_size
            rows, columns = frames.shape[2] // side, frames.shape[3] // side
            shape = (0, self._vae.config.latent_dim, rows, columns)
            return torch.empty(shape, device=self._device, dtype=frames.dtype), waiting
        video = frames[:num_ready].to(self._device, self._dtype).transpose(0, 1).unsqueeze(0)
        latents = encode_tiled(self._vae.encode, video, self._axes) * LATENT_SCALE
        return latents[0].transpose(0, 1).to(frames.dtype), waiting


def _axes(config: MagiVaeConfig, shape: VaeConfig) -> Axes:
    sides = {"tile_pixels": config.tile_pixels, "tile_overlap": config.tile_overlap}
    for name, pixels in sides.items():
        if pixels % shape.patch_size:
            raise ConfigError(
                f"decoder: {name} is {pixels}, but the VAE works in patches of {shape.patch_size} pixels: choose a "
                f"multiple of {shape.patch_size}."
            )
    side = Axis(config.tile_pixels // shape.patch_size, config.tile_overlap // shape.patch_size, shape.patch_size)
    return Axis(config.num_tile_latents, 0, shape.patch_frames), side, side


def _check_geometry(shape: VaeConfig, geometry: Geometry) -> None:
    channels, rows, columns = geometry.latent_shape
    made = (shape.latent_dim, rows * shape.patch_size, columns * shape.patch_size, shape.patch_frames)
    wanted = (channels, geometry.frame_height, geometry.frame_width, geometry.num_frames_per_latent)
    if made != wanted or geometry.num_frames_first != geometry.num_frames_per_latent:
        raise ConfigError(
            f"decoder: this VAE makes {made[3]} frames of {made[1]}x{made[2]} of each latent of {made[0]} channels, of "
            f"the first as well, but the model means {wanted[3]} (the first: {geometry.num_frames_first}) of "
            f"{wanted[1]}x{wanted[2]} of {wanted[0]} channels: choose the decoder that belongs to the model."
        )


def _check_frames(frames: Tensor, *, patch: int) -> None:
    height, width = frames.shape[2:]
    if height % patch or width % patch:
        raise ConfigError(
            f"Frames of {height}x{width} cannot be encoded: height and width must be multiples of {patch}; crop or "
            "resize first."
        )
