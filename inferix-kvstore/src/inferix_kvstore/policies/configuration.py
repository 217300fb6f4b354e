"""What a user may set for the policies. Imports no tensor library."""

from __future__ import annotations

from typing import Self

from inferix_core.specs import ComponentConfig
from pydantic import Field, model_validator


class WindowConfig(ComponentConfig):
    """Configuration of the `window` policy."""

    num_window_latents: int = Field(
        default=9,
        ge=1,
        description="Latents that stay and are seen, the current block included; at least those of a block.",
    )


class SinkWindowConfig(WindowConfig):
    """Configuration of the `sink-window` policy."""

    num_sink_latents: int = Field(
        default=3, ge=0, description="Latents at the beginning of the world that always stay, besides the window."
    )


class StridedConfig(ComponentConfig):
    """Configuration of the `strided` policy."""

    num_recent_latents: int = Field(
        default=9,
        ge=1,
        description="Last latents that all stay, the current block included; at least those of a block.",
    )
    stride: int = Field(
        default=6, ge=1, description="Of older latents, those stay whose index in the world is a multiple of this."
    )
    num_memory_latents: int | None = Field(
        default=None,
        ge=1,
        description="Most of these older latents that stay, the oldest go first; without it the memory has no bound.",
    )
    num_sink_latents: int = Field(
        default=0, ge=0, description="Latents at the beginning of the world that always stay, besides the others."
    )


class SelectiveConfig(ComponentConfig):
    """Configuration of the `selective` policy."""

    num_recent_latents: int = Field(
        default=9,
        ge=1,
        description="Last latents that stay and are seen, the current block included; at least those of a block.",
    )
    num_selected_latents: int = Field(
        default=6, ge=1, description="Most older latents that a block sees, the most relevant ones."
    )
    num_kept_latents: int | None = Field(
        default=None,
        ge=1,
        description="Most older latents that stay, the most relevant ones; without it all stay, for stores that can "
        "hold them.",
    )
    num_sink_latents: int = Field(
        default=0, ge=0, description="Latents at the beginning of the world that always stay and are seen."
    )
    num_latents_per_group: int = Field(
        default=1,
        ge=1,
        description="Latents that are chosen together by their mean score; the model's block size chooses whole "
        "blocks. Groups are counted from the beginning of the world.",
    )

    @model_validator(mode="after")
    def _budgets_fit(self) -> Self:
        kept, size = self.num_kept_latents, self.num_latents_per_group
        if kept is not None and kept < self.num_selected_latents:
            raise ValueError(
                f"a block sees num_selected_latents = {self.num_selected_latents}, but only num_kept_latents = {kept} "
                "are kept; keep at least as many as are seen"
            )
        for name, budget in (("num_selected_latents", self.num_selected_latents), ("num_kept_latents", kept)):
            if budget is not None and budget % size:
                raise ValueError(
                    f"{name} = {budget} is no whole number of groups of num_latents_per_group = {size}; "
                    "choose a multiple of it"
                )
        return self
