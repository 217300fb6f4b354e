"""What users may set for the multi-step solvers; free of torch."""

from __future__ import annotations

from typing import Literal, Self

from inferix_core.errors import ConfigError
from inferix_core.specs import ComponentConfig
from pydantic import Field, model_validator

Spacing = Literal["unipc", "dpm-plus-plus"]
"""The solvers that levels are spaced for."""


class MultistepSolverConfig(ComponentConfig):
    """What multi-step solvers have in common."""

    order: int = Field(default=2, ge=1, le=3, description="Clean estimates that an update is made of, at most.")
    num_steps: int | None = Field(
        default=None,
        ge=1,
        description="Steps of the planner. Needed for order 3, which is lowered in the last two of them.",
    )

    @model_validator(mode="after")
    def _order_3_knows_its_end(self) -> Self:
        if self.order == 3 and self.num_steps is None:
            raise ValueError("order 3 is lowered towards the last step: set num_steps to the planner's")
        return self

    def steps_left(self, index: int, *, is_last: bool) -> int:
        """The updates from the one at level `index` to the last, itself included; beyond 2 the number does not matter.

        Raises `ConfigError` if the planner makes more steps than `num_steps`.
        """
        if is_last:
            return 1
        if self.num_steps is None:
            return self.order + 1
        if index + 2 > self.num_steps:
            raise ConfigError(
                f"solver: step {index} of {self.num_steps} does not end in a clean block: set the solver's num_steps "
                "to the planner's."
            )
        return self.num_steps - index


class UniPCSolverConfig(MultistepSolverConfig):
    """The UniPC solver."""


class DpmPlusPlusSolverConfig(MultistepSolverConfig):
    """The DPM-Solver++ solver."""

    variant: Literal["midpoint", "heun"] = Field(
        default="midpoint", description="How an update of order 2 weighs the change between the last two estimates."
    )
