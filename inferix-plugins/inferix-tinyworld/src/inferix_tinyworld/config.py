"""What users may set for tinyworld's components; free of torch."""

from __future__ import annotations

from inferix_core.specs import ComponentConfig
from pydantic import Field

EMBEDDED = "embedded"


class TinyWorldConfig(ComponentConfig):
    """The tinyworld model."""

    checkpoint: str = Field(
        EMBEDDED,
        description="Weights of the network: a .safetensors file with a .json of the same name beside it, "
        "or 'embedded' for those that come with the package.",
    )


class TinyWorldVaeConfig(ComponentConfig):
    """The decoder of tinyworld's latents."""

    checkpoint: str = Field(
        EMBEDDED,
        description="Weights of the VAE: a .safetensors file with a .json of the same name beside it, "
        "or 'embedded' for those that come with the package.",
    )
