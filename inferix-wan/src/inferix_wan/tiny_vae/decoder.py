"""TAEHV as a decoder of the engine, and as an encoder where its file holds one.

Letters: L latents, C latent channels, h, w latent height and width, T frames, H, W frame height and width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from inferix_core.checkpoints import open_checkpoint
from inferix_core.errors import UnsupportedError
from inferix_core.plan import Geometry
from torch import Tensor

from inferix_wan.checkpoints.family import PLACES
from inferix_wan.config import TaehvDecoderConfig, checkpoint_path
from inferix_wan.geometry import check_decoded
from inferix_wan.initialisation import initialise
from inferix_wan.tiny_vae.config import TinyVaeConfig
from inferix_wan.tiny_vae.model import State, TinyVae
from inferix_wan.weights import check_weights, load_weights


def check_files(config: TaehvDecoderConfig) -> None:
    """Raises `ConfigError` for missing weights and `CheckpointError` for some that do not fit; reads none."""
    checkpoint = checkpoint_path(config, section="decoder")
    if checkpoint is not None:
        check_weights(_without_weights(config, checkpoint), checkpoint)


class TaehvDecoder:
    """Decodes a stream whose history lives in its state, and encodes one. Implements `Decoder` and `FrameEncoder`.

    Raises `ConfigError` for latents that it does not decode to the model's frames, and for missing weights;
    `CheckpointError` for a checkpoint that does not fit.
    """

    def __init__(
        self, config: TaehvDecoderConfig, *, geometry: Geometry, device: torch.device, dtype: torch.dtype
    ) -> None:
        shape = TinyVaeConfig(base_dim=config.base_dim)
        check_decoded(
            geometry, name="TAEHV for Wan 2.1", num_channels=shape.latent_dim, spatial_stride=shape.spatial_stride
        )
        self._checkpoint = checkpoint_path(config, section="decoder")
        if self._checkpoint is None:
            vae = TinyVae(shape).requires_grad_(False).eval()
            initialise(vae, seed=config.weights_seed)
            vae.to(device=device, dtype=dtype)
        else:
            vae = _without_weights(config, self._checkpoint)
            load_weights(vae, self._checkpoint, device=device, dtype=dtype)
        self._vae = vae.use_channels_last()
        self._device = device
        self._max_latents = config.max_latents

    def decode(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `Decoder.decode`. Long blocks are decoded in parts, since a whole clip's activations are large."""
        frames = []
        for part in torch.split(latents, self._max_latents):
            made, state = self._vae.decode(part, state)
            frames.append(made)
        assert state is not None, "a block has latents"
        return frames[0] if len(frames) == 1 else torch.cat(frames), state

    @torch.no_grad()
    def encode(self, frames: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `FrameEncoder.encode`. The frames may be on any device; latents are on the decoder's.

        Raises `UnsupportedError` for a checkpoint without an encoder, and `ValueError` for frames of a size that the
        spatial stride does not divide.
        """
        if self._vae.encoder is None:
            raise UnsupportedError(
                f"Frames were to be encoded, but '{self._checkpoint}' holds a decoder alone. Give the whole "
                'taew2_1.pth, or use = "wan-vae".'
            )
        return self._vae.encode(frames.to(self._device), state)


def _without_weights(config: TaehvDecoderConfig, checkpoint: str) -> TinyVae:
    """The network on the meta device, with an encoder if the checkpoint has one.

    Raises `CheckpointError` where that cannot be opened.
    """
    with open_checkpoint(Path(checkpoint), places=PLACES["tiny_vae"]) as opened:
        has_encoder = any(name.startswith("encoder.") for name in opened.tensors)
    with torch.device("meta"):
        return TinyVae(TinyVaeConfig(base_dim=config.base_dim), has_encoder=has_encoder)
