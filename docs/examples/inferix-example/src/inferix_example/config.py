"""What a user may set. Imports no tensor library."""

from __future__ import annotations

from inferix_core.specs import ComponentConfig
from pydantic import Field


class PondConfig(ComponentConfig):
    """Configuration of the model `pond`."""

    speed: float = Field(default=1.5, gt=0.0, le=4.0, description="How far a wave runs in one latent, in cells.")
    damping: float = Field(default=0.02, ge=0.0, le=1.0, description="Share of a wave that is lost in one latent.")
    wind: float = Field(default=0.0, ge=0.0, le=1.0, description="How much the noise of a block ruffles the water.")
    fps: float = Field(default=16.0, gt=0.0, description="Frames per second of the video.")


class PondPlannerConfig(ComponentConfig):
    """Configuration of the planner `pond`."""

    num_block_latents: int = Field(default=3, ge=1, description="Latents computed together.")


class LandmarksConfig(ComponentConfig):
    """Configuration of the KV policy `landmarks`."""

    every: int = Field(default=8, ge=1, description="Every how many latents one stays for ever.")
    num_recent_latents: int = Field(
        default=6, ge=1, description="The last latents that stay, those of the current block included."
    )


class RhythmConfig(ComponentConfig):
    """Configuration of the profiler `rhythm`."""

    csv_path: str | None = Field(default=None, description="A file that gets one line for each block, at the end.")
