"""The KV policy `landmarks`. Policies speak of latents by their number and know no tensor."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.errors import ConfigError
from inferix_core.plan import Entry

from inferix_example.config import LandmarksConfig


class LandmarksPolicy:
    """Implements `KVPolicy`: memory grows by one latent in `every`."""

    def __init__(self, config: LandmarksConfig) -> None:
        self._config = config

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """See `KVPolicy.retained`."""
        return self._within(held, end=upcoming.stop)

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """See `KVPolicy.visible`."""
        return self._within(available, end=entry.latents.stop)

    def capacity(self, num_block_latents: int) -> int | None:
        """No bound. Raises `ConfigError` if the recent latents cannot hold a block."""
        if self._config.num_recent_latents < num_block_latents:
            raise ConfigError(
                f"kv.policy.num_recent_latents is {self._config.num_recent_latents}, but blocks have "
                f"{num_block_latents} latents, which are among them. Use at least {num_block_latents}."
            )
        return None

    def _within(self, latents: Sequence[int], *, end: int) -> list[int]:
        first = end - self._config.num_recent_latents
        return [latent for latent in latents if latent >= first or latent % self._config.every == 0]
