"""The policies `window` and `sink-window`: memory and sight are bounded to the last latents, and a sink."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.plan import Entry

from inferix_kvstore.policies.bounds import check_block_fits
from inferix_kvstore.policies.configuration import SinkWindowConfig, WindowConfig


class SinkWindowPolicy:
    """The sink is the first latents of the world; the window ends with the current block and leaves out the sink."""

    def __init__(self, config: SinkWindowConfig) -> None:
        self._num_sink_latents = config.num_sink_latents
        self._num_window_latents = config.num_window_latents

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """Of the ascending `held`, those of the sink and those that share a window with `upcoming`."""
        return self._within(held, end=upcoming.stop)

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """Of the ascending `available`, those of the sink and of the window that ends with the entry."""
        return self._within(available, end=entry.latents.stop)

    def capacity(self, num_block_latents: int) -> int | None:
        """Sink and window. Raises `ConfigError` if the window cannot hold a block."""
        check_block_fits("num_window_latents", self._num_window_latents, num_block_latents=num_block_latents)
        return self._num_sink_latents + self._num_window_latents

    def _within(self, latents: Sequence[int], *, end: int) -> list[int]:
        first = end - self._num_window_latents
        return [latent for latent in latents if latent < self._num_sink_latents or latent >= first]


class WindowPolicy(SinkWindowPolicy):
    """A window without a sink."""

    def __init__(self, config: WindowConfig) -> None:
        super().__init__(SinkWindowConfig(num_sink_latents=0, num_window_latents=config.num_window_latents))
