"""What a user may set for the stores. Imports no tensor library."""

from __future__ import annotations

from inferix_core.specs import ComponentConfig
from pydantic import Field


class RingConfig(ComponentConfig):
    """Configuration of the `ring` store: the KV policy says how many slots it has."""


class PagedConfig(ComponentConfig):
    """Configuration of the `paged` store."""

    max_latents: int | None = Field(
        default=None,
        ge=1,
        description="Most latents that all worlds together may hold, shared ones counted once, and under a codec the "
        "encoded ones and the exact ones each for themselves; without it only memory is the limit.",
    )
    num_latents_per_chunk: int | None = Field(
        default=None,
        ge=1,
        description="Latents by which the pool grows; by default twice what the KV policy lets one world hold, "
        "16 if it sets no bound. Larger chunks leave a window in one piece more often.",
    )


class OffloadConfig(ComponentConfig):
    """Configuration of the `offload` store."""

    num_device_latents: int = Field(
        default=12,
        ge=1,
        description="Committed latents of each world that stay on the device when a block begins, the last ones; "
        "older ones move to host memory.",
    )
    max_latents: int | None = Field(
        default=None,
        ge=1,
        description="Most latents that all worlds together may hold on the device, those in the making included; "
        "without it only memory is the limit.",
    )
    max_host_latents: int | None = Field(
        default=None,
        ge=1,
        description="Most latents that all worlds together may hold in host memory; without it only memory is "
        "the limit.",
    )
    num_latents_per_chunk: int = Field(
        default=8, ge=1, description="Latents by which device and host memory grow and shrink."
    )
