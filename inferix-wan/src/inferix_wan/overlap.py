"""How CausVid's long videos go from one rollout to the next: the end of one becomes the beginning of the other.

Letters: B worlds, T frames, L latents, n latents of the overlap, C channels, h, w latent height and width.
"""

from __future__ import annotations

import torch
from inferix_core.errors import ConfigError
from torch import Tensor

from inferix_wan.vae.model import WanVAE


def num_overlap_frames(num_overlap_latents: int, *, temporal_stride: int = 4) -> int:
    """The frames at the end of a rollout that the next one makes again, and that are left out where both are shown."""
    return temporal_stride * (num_overlap_latents - 1) + 1


def start_latents(vae: WanVAE, *, latents: Tensor, frames: Tensor, num_overlap_latents: int) -> Tensor:
    """The latents [B, n, C, h, w] that the next rollout begins with.

    `latents` [B, L, C, h, w] and `frames` [B, T, 3, H, W] in [-1, 1] are all that the rollout made, decoded as a video
    of its own. The first of the overlap's frames is encoded anew, since the first latent of a video stands for one
    frame; the others stay. Raises `ConfigError` for an overlap that is not shorter than the rollout.
    """
    if not 1 <= num_overlap_latents < latents.shape[1]:
        raise ConfigError(
            f"An overlap of {num_overlap_latents} latents was asked for, but a rollout has {latents.shape[1]}: "
            f"give 1 to {latents.shape[1] - 1}."
        )
    first = frames.shape[1] - num_overlap_frames(num_overlap_latents, temporal_stride=vae.config.temporal_stride)
    anchor, _ = vae.encode(frames[:, first : first + 1])
    kept = latents[:, latents.shape[1] - num_overlap_latents + 1 :]
    return torch.cat([anchor.to(latents.dtype), kept], dim=1)
