"""Noise that depends on nothing but its key, so that it is the same on every device, block size and rank."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from inferix_core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

_MAX_SEED = 2**64 - 1


class NoiseSource(Protocol):
    """Where a world's noise comes from."""

    def draw(self, latents: range, *, level: int, shape: tuple[int, ...]) -> Tensor:
        """Standard normal noise `[L, *shape]`, float32 on the CPU, for each of the `latents` at a level's index."""


class CounterNoise:
    """Noise keyed by (seed, absolute latent, level), made with the counter-based generator Philox4x64-10.

    Each latent has its own counter, so drawing latents one by one or together gives the same
    numbers. The raw 64-bit words become uniforms of 53 bits, and pairs of uniforms become pairs
    of normals (Box and Muller 1958) in float64, rounded to float32 at the end.
    """

    def __init__(self, seed: int) -> None:
        """`seed` is in [0, 2**64)."""
        self._seed = seed

    @property
    def seed(self) -> int:
        """The seed that it was made with."""
        return self._seed

    def draw(self, latents: range, *, level: int, shape: tuple[int, ...]) -> Tensor:
        """See `NoiseSource.draw`."""
        count = prod(shape)
        num_pairs = (count + 1) // 2
        words = np.stack([self._words(latent, level, 2 * num_pairs) for latent in latents])
        # All latents at once, and by torch, whose functions are several times as fast as numpy's.
        uniform = torch.from_numpy((words >> np.uint64(11)).astype(np.float64)).add_(0.5).mul_(2.0**-53)
        radius = uniform[:, :num_pairs].log().mul_(-2.0).sqrt_()
        angle = uniform[:, num_pairs:] * (2.0 * np.pi)
        normal = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)  # [L, 2 * num_pairs]
        return normal[:, :count].float().view(len(latents), *shape)

    def _words(self, latent: int, level: int, count: int) -> np.ndarray:
        key, counter = np.array([[self._seed, 0, 0, 0], [0, latent, level, 0]], dtype=np.uint64)
        return np.random.Philox(key=key[:2], counter=counter).random_raw(count)


def checked_seed(seed: int) -> int:
    """The seed, if it is one. Raises `ConfigError` otherwise."""
    if not 0 <= seed <= _MAX_SEED:
        raise ConfigError(f"Seeds go from 0 to 2**64 - 1; found {seed}.")
    return seed
