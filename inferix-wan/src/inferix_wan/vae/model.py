"""The Wan VAE with streaming as a function: frames or latents and a state in, latents or frames and a new state out.

Letters: B videos, T frames, H height, W width, L latents, Z latent channels, h, w latent height and width.
"""

from __future__ import annotations

from typing import cast

import torch
from inferix_core.contracts.decoder import Columns
from torch import Tensor, nn

from inferix_wan.vae.config import VaeConfig
from inferix_wan.vae.decoder import Decoder
from inferix_wan.vae.encoder import Encoder
from inferix_wan.vae.history import History, State
from inferix_wan.vae.layers import CausalConv3d

__all__ = ["State", "WanVAE"]


class WanVAE(nn.Module):
    """Encodes frames to normalised latents and decodes them, any number at a time, with the same result.

    The module holds weights only. A state is a tuple of tensors that is never modified, so forks may share it;
    `None` begins a video. State-dict keys are those of `Wan2.1_VAE.pth`.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.conv1 = CausalConv3d(2 * config.latent_dim, 2 * config.latent_dim, kernel_size=(1, 1, 1))
        self.conv2 = CausalConv3d(config.latent_dim, config.latent_dim, kernel_size=(1, 1, 1))
        self.decoder = Decoder(config)
        shape = (1, config.latent_dim, 1, 1, 1)
        self.register_buffer("latent_mean", torch.tensor(config.latent_mean).view(shape), persistent=False)
        self.register_buffer("latent_std", torch.tensor(config.latent_std).view(shape), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, in which the network runs unless autocast is on."""
        return self.conv2.weight.dtype

    def use_channels_last(self) -> WanVAE:
        """Lays the convolution weights out as the activations are: several times faster in bf16 on a CPU."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)
            elif isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        return self

    def encode(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Frames [B, T, 3, H, W] in [-1, 1] -> normalised latents [B, L, Z, h, w] and the new state.

        The first frame makes a latent of its own; every further `temporal_stride` frames make one. Frames that
        do not fill a latent wait in the state, so that L may be 0.
        Raises `ValueError` for a wrong number of channels or a size that the spatial stride does not divide.
        """
        self._check("frames", frames, num_channels=3, side_multiple=self.config.spatial_stride)
        x = _channels_first(frames, self.dtype)
        if state is not None:
            x = torch.cat([state[0].to(x.dtype), x], dim=2)
        num_lone = 1 if state is None or len(state) == 1 else 0  # the video's first frame is still to come
        stride = self.config.temporal_stride
        num_ready = x.shape[2]
        if num_ready:
            num_ready -= (num_ready - num_lone) % stride
        ready, waiting = x[:, :, :num_ready], x[:, :, num_ready:].clone()
        if num_ready == 0:
            scale = self.config.spatial_stride
            empty = frames.new_empty(x.shape[0], 0, self.config.latent_dim, x.shape[3] // scale, x.shape[4] // scale)
            return empty, (waiting, *(() if state is None else state[1:]))
        history = History(None if num_lone or state is None else state[1:])
        statistics = self.conv1(self.encoder(ready, history))
        mean = statistics[:, : self.config.latent_dim]
        latents = (mean - self.latent_mean.to(mean.dtype)) / self.latent_std.to(mean.dtype)
        return latents.transpose(1, 2).to(frames.dtype), (waiting, *history.state)

    def decode(
        self, latents: Tensor, state: State | None = None, *, columns: Columns | None = None
    ) -> tuple[Tensor, State]:
        """Normalised latents [B, L, Z, h, w] -> frames [B, T, 3, H, W] clamped to [-1, 1] and the new state.

        T is `temporal_stride` for each latent, but 1 for the first of a video. Where `latents` are some columns of a
        picture alone, `columns` brings what lies beside them. Raises `ValueError` for a wrong number of channels.
        """
        frames, new_state = self.decode_unclamped(latents, state, columns=columns)
        return frames.clamp(-1, 1), new_state

    def decode_unclamped(
        self, latents: Tensor, state: State | None = None, *, columns: Columns | None = None
    ) -> tuple[Tensor, State]:
        """As `decode`, without the clamp: what training needs."""
        self._check("latents", latents, num_channels=self.config.latent_dim, side_multiple=1)
        if latents.shape[1] == 0:
            raise ValueError("decode was given 0 latents; give at least one.")
        z = _channels_first(latents, self.dtype)
        z = z * self.latent_std.to(z.dtype) + self.latent_mean.to(z.dtype)
        history = History(state, columns=columns)
        frames = cast("Tensor", self.decoder(self.conv2(z), history))
        return frames.transpose(1, 2).to(latents.dtype), history.state

    @staticmethod
    def _check(name: str, value: Tensor, *, num_channels: int, side_multiple: int) -> None:
        if value.ndim != 5 or value.shape[2] != num_channels:
            raise ValueError(
                f"{name} must be [batch, time, {num_channels} channels, height, width], "
                f"but the shape is {list(value.shape)}."
            )
        height, width = value.shape[3:]
        if height % side_multiple or width % side_multiple:
            raise ValueError(
                f"{name} of {height}x{width} cannot be encoded: height and width must be multiples of "
                f"{side_multiple}; crop or resize first."
            )


def _channels_first(x: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, T, C, H, W] -> [B, C, T, H, W] in `dtype` and `channels_last_3d` order."""
    return x.transpose(1, 2).to(dtype).contiguous(memory_format=torch.channels_last_3d)
