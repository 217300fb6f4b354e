"""The policy `strided`: all of the recent past, and a thinned-out memory of what was before it."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.plan import Entry

from inferix_kvstore.policies.bounds import check_block_fits
from inferix_kvstore.policies.configuration import StridedConfig


class StridedPolicy:
    """What stays is seen. The memory is of latents whose index in the world is a multiple of the stride.

    The sink, the memory and the recent latents have none in common.
    """

    def __init__(self, config: StridedConfig) -> None:
        self._config = config

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """Of the ascending `held`, the sink, the memory, and those that are recent when `upcoming` ends."""
        return self._within(held, end=upcoming.stop)

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """Of the ascending `available`, the sink, the memory, and those that are recent when the entry ends."""
        return self._within(available, end=entry.latents.stop)

    def capacity(self, num_block_latents: int) -> int | None:
        """Sink, memory and recent latents. Raises `ConfigError` if a block is larger than what is recent."""
        config = self._config
        check_block_fits("num_recent_latents", config.num_recent_latents, num_block_latents=num_block_latents)
        if config.num_memory_latents is None:
            return None
        return config.num_sink_latents + config.num_memory_latents + config.num_recent_latents

    def _within(self, latents: Sequence[int], *, end: int) -> list[int]:
        config = self._config
        first_recent = end - config.num_recent_latents
        sink = [latent for latent in latents if latent < config.num_sink_latents]
        memory = [x for x in latents if config.num_sink_latents <= x < first_recent and x % config.stride == 0]
        recent = [x for x in latents if x >= max(first_recent, config.num_sink_latents)]
        if config.num_memory_latents is not None:
            memory = memory[-config.num_memory_latents :]
        return sink + memory + recent
