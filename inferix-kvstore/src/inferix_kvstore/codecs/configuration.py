"""What a user may set for the codecs. Imports no tensor library."""

from __future__ import annotations

from inferix_core.specs import ComponentConfig
from pydantic import Field


class CodecConfig(ComponentConfig):
    """What every codec can be told: which latents it leaves exact."""

    num_exact_sink_latents: int = Field(
        default=0, ge=0, description="Latents at the beginning of the world that are never encoded."
    )
    num_exact_recent_latents: int = Field(
        default=0,
        ge=0,
        description="Latents before the block that is being made that are not encoded yet. They need exact room: "
        "memory falls by what lies before them.",
    )


class Int8Config(CodecConfig):
    """Configuration of the `int8` codec."""

    group_size: int = Field(
        default=64,
        ge=1,
        description="Tokens of a page whose keys share a scale and a minimum in each channel, 4 bytes together. "
        "Groups begin anew in each page; the last may be short.",
    )


class Fp8Config(CodecConfig):
    """Configuration of the `fp8` codec."""


class Int4Config(CodecConfig):
    """Configuration of the `int4` codec."""

    group_size: int = Field(
        default=32,
        ge=1,
        description="Values that share a scale and a minimum, 4 bytes together: of keys, so many tokens of a page in "
        "one channel; of values, so many channels of one token. The last group may be short.",
    )
