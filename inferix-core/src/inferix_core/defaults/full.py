"""The policy that keeps everything."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.plan import Entry
from inferix_core.specs import ComponentConfig


class FullPolicy:
    """Every latent stays and is visible."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """All that is held."""
        return held

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """All that is available."""
        return available

    def capacity(self, num_block_latents: int) -> int | None:
        """No bound."""
        return None
