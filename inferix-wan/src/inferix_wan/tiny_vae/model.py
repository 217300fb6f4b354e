"""TAEHV with streaming as a function: frames or latents and a state in, latents or frames and a new state out.

Letters: T frames, H height, W width, L latents, Z latent channels, h, w latent height and width.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from inferix_wan.tiny_vae.config import TinyVaeConfig
from inferix_wan.tiny_vae.layers import Grow, MemoryBlock, PoolTime, SoftClamp, convolution
from inferix_wan.tiny_vae.memory import Memory, State

__all__ = ["State", "TinyVae"]


class TinyVae(nn.Module):
    """Decodes the normalised latents of Wan 2.1 and encodes frames, any number at a time, with the same result.

    The module holds weights only. A state is a tuple of tensors that is never modified, so forks may share it; `None`
    begins a video. State-dict keys are those of `taew2_1.pth`, whose encoder may be left out.
    """

    def __init__(self, config: TinyVaeConfig, *, has_encoder: bool = True) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(*_encoder_layers(config)) if has_encoder else None
        self.decoder = nn.Sequential(*_decoder_layers(config))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, in which the network runs."""
        return cast("nn.Conv2d", self.decoder[-1]).weight.dtype

    def use_channels_last(self) -> TinyVae:
        """Lays the weights out as the activations are."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        return self

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Normalised latents [L, Z, h, w] -> frames [T, 3, H, W] in [-1, 1] and the new state.

        T is 4 for each latent, but 1 for the first of a video: the network makes four there too, of which the first
        three stand for what would be before the video. Raises `ValueError` for a wrong number of channels and for no
        latents.
        """
        _check("latents", latents, num_channels=self.config.latent_dim, side_multiple=1)
        if len(latents) == 0:
            raise ValueError("decode was given 0 latents; give at least one.")
        memory = Memory(state)
        frames = _run(self.decoder, _channels_last(latents, self.dtype), memory)
        if state is None:
            frames = frames[self.config.temporal_stride - 1 :]
        return frames.clamp(0, 1).mul(2).sub(1).to(latents.dtype), memory.state

    def encode(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Frames [T, 3, H, W] in [-1, 1] -> normalised latents [L, Z, h, w] and the new state.

        The first frame makes a latent of its own, as if it had stood still before; every four further ones make one.
        Frames that do not fill a latent wait in the state, so that L may be 0. The network must have an encoder.
        Raises `ValueError` for a wrong number of channels or a size that the spatial stride does not divide.
        """
        assert self.encoder is not None, "callers ask for what there is"
        _check("frames", frames, num_channels=3, side_multiple=self.config.spatial_stride)
        stride = self.config.temporal_stride
        x = _channels_last(frames, self.dtype)
        waiting, memories = (x[:0], ()) if state is None else (state[0].to(x.dtype), state[1:])
        if not memories and len(x):
            waiting = x[:1].expand(stride - 1, -1, -1, -1)
        x = torch.cat([waiting, x])
        num_ready = len(x) - len(x) % stride
        ready, waiting = x[:num_ready], x[num_ready:].clone()
        if num_ready == 0:
            rows, columns = (side // self.config.spatial_stride for side in frames.shape[2:])
            return frames.new_empty(0, self.config.latent_dim, rows, columns), (waiting, *memories)
        memory = Memory(memories or None)
        latents = _run(self.encoder, ready * 0.5 + 0.5, memory)
        return latents.to(frames.dtype), (waiting, *memory.state)


def _encoder_layers(config: TinyVaeConfig) -> Iterable[nn.Module]:
    dim = config.base_dim
    yield convolution(3, dim)
    yield nn.ReLU(inplace=True)
    for stride in config.encoder_strides:
        yield PoolTime(dim, stride=stride)
        yield convolution(dim, dim, stride=2, bias=False)
        yield from (MemoryBlock(dim) for _ in range(config.num_blocks))
    yield convolution(dim, config.latent_dim)


def _decoder_layers(config: TinyVaeConfig) -> Iterable[nn.Module]:
    dims = config.decoder_dims
    yield SoftClamp()
    yield convolution(config.latent_dim, dims[0])
    yield nn.ReLU(inplace=True)
    for (before, after), stride in zip(pairwise(dims), config.decoder_strides, strict=True):
        yield from (MemoryBlock(before) for _ in range(config.num_blocks))
        yield nn.Identity()  # keeps the indices of the official state dict; `Grow` doubles sides besides
        yield Grow(before, stride=stride)
        yield convolution(before, after, bias=False)
    yield nn.ReLU(inplace=True)
    yield convolution(dims[-1], 3)


def _run(layers: nn.Sequential, x: Tensor, memory: Memory) -> Tensor:
    for layer in layers:
        x = layer.remember(x, memory) if isinstance(layer, MemoryBlock) else layer(x)
    return x


def _channels_last(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def _check(name: str, value: Tensor, *, num_channels: int, side_multiple: int) -> None:
    if value.ndim != 4 or value.shape[1] != num_channels:
        raise ValueError(
            f"{name} must be [time, {num_channels} channels, height, width], but the shape is {list(value.shape)}."
        )
    height, width = value.shape[2:]
    if height % side_multiple or width % side_multiple:
        raise ValueError(
            f"{name} of {height}x{width} cannot be encoded: height and width must be multiples of {side_multiple}; "
            "crop or resize first."
        )
