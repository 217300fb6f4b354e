"""What users may set for each component of this package; free of torch."""

from __future__ import annotations

from typing import Literal, Self

from inferix_core.errors import ConfigError
from inferix_core.specs import ComponentConfig
from pydantic import Field, model_validator

Size = Literal["1.3B", "mid", "tiny-random"]
Weights = Literal["checkpoint", "random"]


class SelfForcingPlannerConfig(ComponentConfig):
    """How Self Forcing denoises a block."""

    num_block_latents: int = Field(default=3, ge=1, description="Latents generated together.")
    steps: tuple[int, ...] = Field(
        default=(1000, 750, 500, 250),
        min_length=1,
        description="Noise levels of the denoising passes, from 1000 (noise) down towards 0 (clean).",
    )
    warp: bool = Field(default=True, description="Whether `steps` count before the shift is applied.")
    shift: float = Field(
        default=5.0, gt=0.0, description="How far the schedule is pressed towards noise; 1 is not at all."
    )
    clean_time: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="The time the network is told in the pass that commits a finished block.",
    )
    independent_first_latent: bool = Field(
        default=False, description="Whether the first latent of a world, or of its prefix, is a block of its own."
    )

    @model_validator(mode="after")
    def _steps_descend(self) -> Self:
        if any(not 0 <= step <= 1000 for step in self.steps):
            raise ValueError(f"steps are {list(self.steps)}, but each must be from 0 to 1000")
        if any(after >= before for before, after in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps are {list(self.steps)}, but they must descend, e.g. [1000, 750, 500, 250]")
        return self


class FewStepSolverConfig(ComponentConfig):
    """The few-step solver has nothing to set."""


class SelfForcingConfig(ComponentConfig):
    """The Self Forcing model."""

    weights: Weights = Field(
        default="checkpoint", description="Where the weights come from; random ones are for benches."
    )
    checkpoint: str | None = Field(
        default=None, description="A .pt, .pth or .safetensors file, a sharded index, or a folder with one of these."
    )
    size: Size = Field(default="1.3B", description="Dimensions of the network.")
    height: int = Field(default=480, ge=1, description="Frame height in pixels; a multiple of 16.")
    width: int = Field(default=832, ge=1, description="Frame width in pixels; a multiple of 16.")
    fps: float = Field(default=16.0, gt=0.0, description="Frames per second of the video.")
    weights_seed: int = Field(default=0, ge=0, lt=2**63, description="The seed of random weights.")


class WanVaeDecoderConfig(ComponentConfig):
    """The decoder of the Wan VAE."""

    weights: Weights = Field(
        default="checkpoint", description="Where the weights come from; random ones are for benches."
    )
    checkpoint: str | None = Field(
        default=None, description="Wan2.1_VAE.pth, or the same tensors in another container."
    )
    base_dim: int = Field(default=96, ge=1, description="Channels at full resolution.")
    num_res_blocks: int = Field(default=2, ge=1, description="Residual blocks at each resolution of the encoder.")
    weights_seed: int = Field(default=0, ge=0, lt=2**63, description="The seed of random weights.")


def checkpoint_path(config: SelfForcingConfig | WanVaeDecoderConfig, *, section: str) -> str | None:
    """The checkpoint to load, None for random weights.

    Raises `ConfigError` if neither or both were asked for. This is no validator, since a default configuration must
    be valid for a schema to be made of it.
    """
    if config.weights == "random":
        if config.checkpoint is not None:
            raise ConfigError(
                f"{section}: the checkpoint '{config.checkpoint}' was given together with random weights: "
                "leave one of checkpoint and weights out."
            )
        return None
    if config.checkpoint is None:
        raise ConfigError(
            f"{section}: no checkpoint is given. Set {section}.checkpoint to a file or folder, "
            f'or {section}.weights to "random" for a bench.'
        )
    return config.checkpoint
