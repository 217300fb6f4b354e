"""What a VAE training step is made of: a mix of window sizes and clip lengths, drawn from (seed, step, worker).

Letters: B clips, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from inferix_wan.vae.model import WanVAE
from torch import Tensor

from inferix_tinyworld.train.clips import Clips, sample_clips
from inferix_tinyworld.train.settings import VaeSettings


@dataclass(frozen=True)
class Part:
    """One batch of clips."""

    size: int
    """Height and width of the window."""
    num_clips: int
    num_blocks: int
    """Blocks that are learnt from; 4 are 45 frames."""
    num_seen_blocks: int = 0
    """Blocks before them that only fill the causal state, without gradients: the state of a long-lived world."""


Mix = tuple[tuple[float, tuple[Part, ...]], ...]
"""Shares of the steps, and the batches that make up one worker's part of such a step."""

# What makes it learn at all is many scenes in a step: with two, the mean colour of each step drowns everything else.
# So windows are small, and the long life of a world comes from blocks that only fill the state.
FIRST_MIX: Mix = ((1.0, (Part(size=16, num_clips=20, num_blocks=1),)),)
EARLY_MIX: Mix = (
    (0.25, (Part(size=16, num_clips=20, num_blocks=1),)),
    (0.25, (Part(size=16, num_clips=10, num_blocks=2),)),
    (0.20, (Part(size=16, num_clips=6, num_blocks=1, num_seen_blocks=5),)),
    (0.20, (Part(size=32, num_clips=3, num_blocks=2),)),
    (0.08, (Part(size=64, num_clips=1, num_blocks=1), Part(size=16, num_clips=8, num_blocks=1))),
    (0.02, (Part(size=128, num_clips=1, num_blocks=1), Part(size=16, num_clips=8, num_blocks=1))),
)
# Short clips alone collapse later in a long video.
LATE_MIX: Mix = (
    (0.15, (Part(size=16, num_clips=10, num_blocks=2),)),
    (0.20, (Part(size=24, num_clips=3, num_blocks=4),)),
    (0.20, (Part(size=24, num_clips=3, num_blocks=1, num_seen_blocks=5),)),
    (0.10, (Part(size=16, num_clips=4, num_blocks=1, num_seen_blocks=12),)),
    (0.25, (Part(size=32, num_clips=3, num_blocks=2),)),
    (0.07, (Part(size=64, num_clips=1, num_blocks=1), Part(size=16, num_clips=8, num_blocks=1))),
    (0.03, (Part(size=128, num_clips=1, num_blocks=1), Part(size=16, num_clips=8, num_blocks=1))),
)


@dataclass(frozen=True)
class Batch:
    """Clips on the device, and what belongs to them in a step."""

    frames: Tensor
    """[B, T, 3, H, W] in [-1, 1]"""
    near: Tensor
    """[B, T, 1, H, W], 1 close to the object and 0 elsewhere."""
    num_seen: int
    """How many of the frames only fill the causal state."""
    share: float
    """Of the step's learnt pixels."""
    generator: torch.Generator

    def noise_like(self, latents: Tensor) -> Tensor:
        """Standard normal noise of that shape, the same whenever the step is run."""
        return torch.randn(latents.shape, generator=self.generator).to(latents)


def to_model(clips: Clips, vae: WanVAE) -> tuple[Tensor, Tensor]:
    """Frames [B, T, 3, H, W] in [-1, 1] in the VAE's dtype, and nearness [B, T, 1, H, W] as 0 or 1."""
    device = vae.conv2.weight.device
    frames = torch.from_numpy(clips.frames).to(device).float().div_(127.5).sub_(1).movedim(-1, 2)
    return frames.to(vae.dtype), torch.from_numpy(clips.near).to(device)[:, :, None].float()


def batches(vae: WanVAE, settings: VaeSettings, step: int, worker: int) -> Iterator[Batch]:
    """The batches of a worker's part of a step, drawn from (seed, step, worker)."""
    kind_rng = np.random.default_rng([settings.seed, 2, step])  # one kind for all workers: they take equally long
    rng = np.random.default_rng([settings.seed, 1, step, worker])
    mix = LATE_MIX
    if step < settings.num_steps // 2:
        mix = FIRST_MIX if step < settings.num_short_steps else EARLY_MIX
    parts = mix[kind_rng.choice(len(mix), p=[share for share, _ in mix])][1]
    pixels = [part.num_clips * part.size**2 * 12 * part.num_blocks for part in parts]
    generator = torch.Generator().manual_seed((settings.seed * 1_000_003 + step) * 64 + worker)
    for part, num_pixels in zip(parts, pixels, strict=True):
        num_blocks = part.num_seen_blocks + part.num_blocks
        clips = sample_clips(rng, num_clips=part.num_clips, num_blocks=num_blocks, size=part.size)
        frames, near = to_model(clips, vae)
        num_seen = 0 if part.num_seen_blocks == 0 else 12 * part.num_seen_blocks - 3
        yield Batch(frames=frames, near=near, num_seen=num_seen, share=num_pixels / sum(pixels), generator=generator)
