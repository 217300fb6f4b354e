"""What users may set for the plain components; free of torch."""

from __future__ import annotations

from pydantic import Field

from inferix_core.specs import ComponentConfig


class DenseConfig(ComponentConfig):
    """Configuration of the `dense` store."""

    max_latents: int | None = Field(
        default=None, ge=1, description="Most latents that one world may hold; without it only memory is the limit."
    )
    slack_latents: int | None = Field(
        default=None, ge=0, description="Extra slots (latents) of a bounded slab; by default half the capacity."
    )
