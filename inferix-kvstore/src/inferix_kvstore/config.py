"""What a user may set for the policies. Imports no tensor library."""

from __future__ import annotations

from inferix_core.specs import ComponentConfig
from pydantic import Field


class WindowConfig(ComponentConfig):
    """Configuration of the `window` policy."""

    num_window_latents: int = Field(
        ge=1, description="Latents that stay and are seen, the current block included; at least those of a block."
    )


class SinkWindowConfig(WindowConfig):
    """Configuration of the `sink-window` policy."""

    num_sink_latents: int = Field(
        ge=0, description="Latents at the beginning of the world that always stay, besides the window."
    )
