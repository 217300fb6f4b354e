"""What users may set for the planners; free of torch."""

from __future__ import annotations

from typing import Self

from inferix_core.specs import ComponentConfig
from pydantic import Field, model_validator

from inferix_wan.solvers.config import Spacing


class FewStepSchedule(ComponentConfig):
    """The noise levels of few-step models."""

    steps: tuple[int, ...] = Field(
        default=(1000, 750, 500, 250),
        min_length=1,
        description="Noise levels of the denoising passes, from 1000 (noise) down towards 0 (clean).",
    )
    warp: bool = Field(default=True, description="Whether `steps` count before the shift is applied.")
    shift: float = Field(
        default=5.0, gt=0.0, description="How far the schedule is pressed towards noise; 1 is not at all."
    )

    @model_validator(mode="after")
    def _steps_descend(self) -> Self:
        if any(not 0 <= step <= 1000 for step in self.steps):
            raise ValueError(f"steps are {list(self.steps)}, but each must be from 0 to 1000")
        if any(after >= before for before, after in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps are {list(self.steps)}, but they must descend, e.g. [1000, 750, 500, 250]")
        return self


class MultiStepSchedule(ComponentConfig):
    """The noise levels of multi-step models, and how much more a prompt counts than the negative one."""

    num_steps: int = Field(default=50, ge=1, description="Denoising steps.")
    shift: float = Field(
        default=5.0, gt=0.0, description="How far the schedule is pressed towards noise; 1 is not at all."
    )
    spacing: Spacing = Field(
        default="unipc",
        description="The solver whose levels these are in the original; either solver works over both, for other "
        "numbers.",
    )
    guidance_scale: float = Field(
        default=5.0,
        ge=0.0,
        description="How far predictions are moved from the negative prompt towards the prompt and beyond (at 1 they "
        "are the prompt's, and the passes under the negative prompt are left out).",
    )


class CausVidPlannerConfig(FewStepSchedule):
    """How CausVid denoises blocks, and when positions start again."""

    steps: tuple[int, ...] = Field(
        default=(1000, 757, 522),
        min_length=1,
        description="Noise levels of the denoising passes, from 1000 (noise) down towards 0 (clean).",
    )
    warp: bool = Field(default=False, description="Whether `steps` count before the shift is applied.")
    shift: float = Field(
        default=8.0, gt=0.0, description="How far the schedule is pressed towards noise; 1 is not at all."
    )
    num_block_latents: int = Field(default=3, ge=1, description="Latents generated together.")
    num_rollout_blocks: int = Field(
        default=7, ge=1, description="Blocks until positions start again; the network was trained on 7."
    )
    num_overlap_blocks: int = Field(
        default=1, ge=0, le=1, description="Blocks that a rollout keeps of the one before, at its beginning."
    )

    @model_validator(mode="after")
    def _rollouts_get_ahead(self) -> Self:
        if self.num_overlap_blocks >= self.num_rollout_blocks:
            raise ValueError(
                f"rollouts have {self.num_rollout_blocks} blocks and keep {self.num_overlap_blocks} of the one before, "
                "so that none would be new: make num_rollout_blocks larger"
            )
        return self


class CausVidOverlapPlannerConfig(CausVidPlannerConfig):
    """How CausVid denoises blocks, and how its rollouts overlap."""

    num_overlap_blocks: int = Field(
        default=1, ge=1, le=1, description="Blocks that a rollout keeps of the one before, at its beginning."
    )


class GuidedBlocksPlannerConfig(MultiStepSchedule):
    """How a causal model denoises a block in many guided steps."""

    guidance_scale: float = Field(
        default=3.0,
        ge=0.0,
        description="How far predictions are moved from the negative prompt towards the prompt and beyond (at 1 they "
        "are the prompt's, and the passes under the negative prompt are left out).",
    )
    num_block_latents: int = Field(default=3, ge=1, description="Latents generated together.")
    clean_time: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="The time the network is told in the passes that commit a finished block.",
    )
    independent_first_latent: bool = Field(
        default=False, description="Whether the first latent of a world, or of its prefix, is a block of its own."
    )


class WholeClipPlannerConfig(MultiStepSchedule):
    """How a bidirectional model denoises a clip."""

    num_latents: int = Field(default=21, ge=1, description="Latents of the clip; 21 make 81 frames.")


class FewStepClipPlannerConfig(FewStepSchedule):
    """How a distilled bidirectional model denoises a clip."""

    num_latents: int = Field(default=21, ge=1, description="Latents of the clip; 21 make 81 frames.")
