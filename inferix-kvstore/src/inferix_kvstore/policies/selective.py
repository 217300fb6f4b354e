"""The policy `selective`: besides the recent past, a block sees what is most relevant of all that was before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from heapq import nlargest

from inferix_core.plan import Entry

from inferix_kvstore.policies.bounds import check_block_fits
from inferix_kvstore.policies.configuration import SelectiveConfig


class SelectivePolicy:
    """Sink and recent latents stay and are seen; the others compete, in groups, by their mean score.

    Of equal scores the later one wins; latents without a score come last. A latent that stays without being seen may
    be seen by a later block. Provides "relevance".
    """

    def __init__(self, config: SelectiveConfig) -> None:
        self._config = config

    def retained(self, held: Sequence[int], upcoming: range, *, relevance: Mapping[int, float]) -> Sequence[int]:
        """Of the ascending `held`, sink, recent latents, and the most relevant others; all where no bound is set."""
        if self._config.num_kept_latents is None:
            return held
        return self._within(held, relevance, end=upcoming.stop, num_chosen=self._config.num_kept_latents)

    def visible(self, entry: Entry, available: Sequence[int], *, relevance: Mapping[int, float]) -> Sequence[int]:
        """Of the ascending `available`, sink, recent latents, and fewer of the most relevant others."""
        chosen = self._config.num_selected_latents
        return self._within(available, relevance, end=entry.latents.stop, num_chosen=chosen)

    def capacity(self, num_block_latents: int) -> int | None:
        """Sink, kept and recent latents. Raises `ConfigError` if a block is larger than what is recent."""
        config = self._config
        check_block_fits("num_recent_latents", config.num_recent_latents, num_block_latents=num_block_latents)
        if config.num_kept_latents is None:
            return None
        return config.num_sink_latents + config.num_kept_latents + config.num_recent_latents

    def _within(
        self, latents: Sequence[int], relevance: Mapping[int, float], *, end: int, num_chosen: int
    ) -> list[int]:
        num_sink, first_recent = self._config.num_sink_latents, end - self._config.num_recent_latents
        others = [latent for latent in latents if num_sink <= latent < first_recent]
        chosen = self._most_relevant(others, relevance, num_latents=num_chosen)
        return [latent for latent in latents if latent < num_sink or latent >= first_recent or latent in chosen]

    def _most_relevant(self, latents: Sequence[int], relevance: Mapping[int, float], *, num_latents: int) -> set[int]:
        """At most `num_latents` of `latents`, in whole groups as far as they are among these."""
        size = self._config.num_latents_per_group
        if size == 1:
            return set(nlargest(num_latents, reversed(latents), key=lambda latent: relevance.get(latent, -math.inf)))
        groups: dict[int, list[int]] = {}
        for latent in latents:
            groups.setdefault(latent // size, []).append(latent)

        def score(group: int) -> float:
            scores = [relevance[latent] for latent in groups[group] if latent in relevance]
            return sum(scores) / len(scores) if scores else -math.inf

        best = nlargest(num_latents // size, reversed(groups), key=score)  # of equal ones the first, thus the later
        return {latent for group in best for latent in groups[group]}
