"""What users may set for each quantizer; free of torch."""

from __future__ import annotations

from typing import Literal

from inferix_core.specs import ComponentConfig
from pydantic import Field

WAN_EXCLUSIONS = ("patch_embedding", "text_embedding", "time_embedding", "time_projection", "head")
"""The ends of a Wan network: a few percent of its weights, and the ones that quality depends on most."""


class Int8Config(ComponentConfig):
    """The int8 quantizer."""

    exclude: tuple[str, ...] = Field(
        default=WAN_EXCLUSIONS,
        description="Modules that stay in full precision with all that is in them. A name, or several joined by dots, "
        "matches wherever it stands in a module's name: `head`, `ffn.2`, `blocks.0`.",
    )
    backend: Literal["torch", "torchao"] = Field(
        default="torch",
        description="Whose layers compute: this package's, made of torch's own products, or those of torchao (an "
        "extra), whose int8 scales are 0.4 % smaller.",
    )


class Fp8Config(Int8Config):
    """The fp8 quantizer."""

    activation: Literal["e5m2", "e4m3"] = Field(
        default="e5m2",
        description="The format of activations: e5m2 has the wider range, e4m3 is the more exact. Weights are e4m3.",
    )
