"""What a user may set for the strategies. Imports no tensor library."""

from __future__ import annotations

from typing import Literal

from inferix_core.specs import ComponentConfig
from pydantic import Field

Passing = Literal["queries", "keys"]


class UlyssesConfig(ComponentConfig):
    """Configuration of `ulysses`: as many parts of the heads as there are ranks."""


class PipelineConfig(ComponentConfig):
    """Configuration of `pipeline`: as many groups of layers as there are ranks."""


class XfuserConfig(ComponentConfig):
    """Configuration of `xfuser`: as many parts of the heads as there are ranks."""


class RingConfig(ComponentConfig):
    """Configuration of `ring`."""

    passes: Passing = Field(
        default="queries",
        description="What goes round: queries, whose results come back (a block has fewer tokens than its cache), or "
        "keys with their values.",
    )


class HybridConfig(RingConfig):
    """Configuration of `hybrid`; of two degrees that are left out, ulysses is the largest that fits."""

    ring: int | None = Field(
        default=None, ge=1, description="Into how many parts each latent's tokens are cut in the cache."
    )
    ulysses: int | None = Field(
        default=None, ge=1, description="Into how many parts the heads are cut; ring times ulysses is the ranks."
    )


class AutomaticConfig(ComponentConfig):
    """Configuration of `auto`."""

    topology: str | None = Field(
        default=None,
        description="What is known of the machines: a .toml file, or 'nvlink', 'pcie' or 'cpu'; without it the ranks "
        "are measured when they start, which takes about a second.",
    )
    cache: str | None = Field(
        default=None, description="A .toml file in which rank 0 keeps what was measured, for later starts."
    )
