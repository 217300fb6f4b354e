"""What a world begins with: a picture or the start of a video, as latents.

Letters: T frames, L latents, C channels, h, w their height and width, H, W frame height and width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferix_core.contracts.decoder import FrameEncoder
from inferix_core.contracts.model import Conditions, Fit
from inferix_core.errors import ConfigError
from inferix_core.pictures import fitted_frames
from inferix_core.plan import Geometry
from loguru import logger
from torch import Tensor

NUM_PREFIX_FRAMES = 32
"""Frames of a video that are gone on from, its first ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What a world begins with: clean latents [L, C, h, w]; it has no parts of conditions."""

    latents: Tensor
    conditions: Conditions = field(default_factory=dict)


def prefix_latents(frames: Tensor, *, fit: Fit, encoder: FrameEncoder, geometry: Geometry) -> Tensor:
    """Frames [T, H', W', 3] uint8 of any size -> latents [L, C, h, w]: one of a picture, at most 8 of a video.

    A picture is held for as long as one latent lasts. Frames that fill no latent are left out, which the log says.
    Raises `ConfigError` for what are no frames, and for videos too short for one latent.
    """
    num_per_latent = geometry.num_frames_per_latent
    if frames.ndim == 4 and len(frames) > 1:
        frames = frames[: _num_taken(len(frames), num_per_latent=num_per_latent)]
    fitted = fitted_frames(frames, height=geometry.frame_height, width=geometry.frame_width, fit=fit)
    if len(fitted) == 1:
        fitted = fitted.expand(num_per_latent, -1, -1, -1)
    latents, _ = encoder.encode(fitted, None)
    return latents


def _num_taken(num_given: int, *, num_per_latent: int) -> int:
    if num_given < num_per_latent:
        raise ConfigError(
            f"A video of {num_given} frames was given, but {num_per_latent} make a latent: give a longer one, at most "
            f"{NUM_PREFIX_FRAMES} frames of which are used, or a single picture."
        )
    num_taken = min(num_given, NUM_PREFIX_FRAMES) // num_per_latent * num_per_latent
    if num_taken < num_given:
        logger.info(f"Of the {num_given} frames given, the first {num_taken} are gone on from, as MAGI-1 does.")
    return num_taken
