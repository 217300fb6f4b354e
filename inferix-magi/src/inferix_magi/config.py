"""What a user may set: the configurations of model, planner, solver and KV policy. Imports no tensor library."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from inferix_core.specs import ComponentConfig
from pydantic import Field, model_validator

from inferix_magi.sizes import TRANSFORMERS, Size
from inferix_magi.text.config import MagiTextConfig
from inferix_magi.transformer.config import TransformerConfig

Guidance = Literal["three-way", "distilled"]
Count = Annotated[int, Field(ge=1)]


class MagiModelConfig(ComponentConfig):
    """A MAGI-1 model. Whether it is distilled also says in which of the official folders its weights are."""

    weights: Literal["checkpoint", "random"] = Field(
        default="checkpoint", description="Where the weights come from; random ones are for benches."
    )
    checkpoint: str | None = Field(
        default=None,
        description="model.safetensors or its index, the folder of either, that of a release, or a whole download.",
    )
    size: Size = Field(default="4.5B", description="Dimensions of the network.")
    distilled: bool = Field(default=False, description="Whether the weights are those of the distilled model.")
    height: int = Field(default=720, ge=1, description="Frame height in pixels; a multiple of 16, at least 32.")
    width: int = Field(default=720, ge=1, description="Frame width in pixels; a multiple of 16, at least 32.")
    fps: float = Field(default=24.0, gt=0.0, description="Frames per second of the video.")
    text: MagiTextConfig = Field(
        default=MagiTextConfig(), description="The text encoder; random weights come with a random one."
    )
    official_config: str | None = Field(
        default=None,
        description="A configuration file of the authors, e.g. 24B_base_config.json: it stands for size, frames, "
        "planner, policy, quantizer and files, under what is set beside it.",
    )
    weights_seed: int = Field(default=0, ge=0, lt=2**63, description="The seed of random weights.")

    @property
    def dimensions(self) -> TransformerConfig:
        """The shape of the transformer."""
        return TRANSFORMERS[self.size]


class MagiPlannerConfig(ComponentConfig):
    """Configuration of the `magi` planner. The defaults are those of the 4.5B base model."""

    num_steps: int = Field(default=64, ge=1, description="Levels that a block passes on its way from noise to clean.")
    num_blocks_in_flight: int = Field(default=4, ge=1, description="Blocks in flight at once; divides num_steps.")
    num_block_latents: int = Field(default=6, ge=1, description="Latents of a block.")
    spacing: Literal["sd3", "square", "piecewise", "identity"] = Field(
        default="sd3", description="How the times lie between 0 (noise) and 1 (clean)."
    )
    shift: float = Field(default=3.0, gt=0.0, description="Shift of the sd3 spacing towards noise (1 is none).")
    shortcut: Literal["8,16,16", "16,16,8"] = Field(
        default="8,16,16", description="Which sixteenths of a quarter are used when num_steps is 12."
    )
    clean_time: float = Field(
        default=0.9999, gt=0.0, le=1.0, description="Time (0 noise, 1 clean) at which finished blocks are committed."
    )
    guidance: Guidance = Field(
        default="three-way",
        description="three-way: with text, without text, each block alone (base models); distilled: one pass.",
    )
    guidance_times: tuple[float, ...] = Field(
        default=(0.0, 0.0217, 0.1, 0.3, 0.999),
        description="Times, ascending, from which the scales below hold (three-way only).",
    )
    history_scales: tuple[float, ...] = Field(
        default=(1.5, 1.5, 1.5, 1.0, 1.0), description="How much the blocks before count, for each guidance time."
    )
    text_scales: tuple[float, ...] = Field(
        default=(7.5, 7.5, 7.5, 0.0, 0.0), description="How much the text counts, for each guidance time."
    )
    near_clean_time: float = Field(
        default=0.3, ge=0.0, description="Time beyond which the oldest block is also passed alone (distilled only)."
    )
    near_clean_history_weight: float = Field(
        default=0.7, ge=0.0, le=1.0, description="Weight of the prediction with history; the rest is the one alone."
    )

    @model_validator(mode="after")
    def _steps_fit_the_window(self) -> Self:
        if self.num_steps % self.num_blocks_in_flight:
            raise ValueError(
                f"num_steps = {self.num_steps} cannot be shared evenly by num_blocks_in_flight = "
                f"{self.num_blocks_in_flight}; choose a multiple of it"
            )
        return self

    @model_validator(mode="after")
    def _scales_fit_the_times(self) -> Self:
        lengths = {len(self.guidance_times), len(self.history_scales), len(self.text_scales)}
        if len(lengths) > 1 or 0 in lengths:
            raise ValueError(
                "guidance_times, history_scales and text_scales need the same number of values, at least one; found "
                f"{len(self.guidance_times)}, {len(self.history_scales)} and {len(self.text_scales)}"
            )
        if list(self.guidance_times) != sorted(self.guidance_times) or self.guidance_times[0] > 0.0:
            raise ValueError(f"guidance_times ascend from 0; found {list(self.guidance_times)}")
        return self


class VelocityConfig(ComponentConfig):
    """Configuration of the `velocity` solver: there is nothing to set."""


class MagiRangesConfig(ComponentConfig):
    """Configuration of the `magi-ranges` policy, which takes steps and sizes of blocks from the planner."""

    num_visible_blocks: tuple[Count, ...] = Field(
        default=(5, 4, 3, 2),
        description="Blocks that a block sees, itself included, in equal parts of the schedule from noise to clean; "
        "empty: all before it. As many parts as divide the planner's num_steps.",
    )
    num_visible_blocks_clean: int | None = Field(
        default=1,
        ge=1,
        description="Blocks that a clean block sees, itself included; none: as many as at the last part.",
    )
