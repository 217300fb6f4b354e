"""Noise that depends on nothing but its key, so that it is the same on every device, block size and rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor


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

    def draw(self, latents: range, *, level: int, shape: tuple[int, ...]) -> Tensor:
        """See `NoiseSource.draw`."""
        return torch.from_numpy(np.stack([self._one(latent, level, shape) for latent in latents]))

    def _one(self, latent: int, level: int, shape: tuple[int, ...]) -> np.ndarray:
        count = int(np.prod(shape))
        num_pairs = (count + 1) // 2
        key, counter = np.array([[self._seed, 0, 0, 0], [0, latent, level, 0]], dtype=np.uint64)
        generator = np.random.Philox(key=key[:2], counter=counter)
        words = generator.random_raw(2 * num_pairs).reshape(2, num_pairs)
        uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        radius = np.sqrt(-2.0 * np.log(uniform[0]))
        angle = 2.0 * np.pi * uniform[1]
        normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return normal[:count].astype(np.float32).reshape(shape)
