"""A step that either happens to every world of a batch or to none."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from inferix_core.runtime.state import WorldState

if TYPE_CHECKING:
    from inferix_core.contracts.kv import KVCache


class Transaction:
    """Remembers the worlds and what is done to their caches; a body that raises is undone.

    Pages that a policy gave up stay given up: a block that begins again sees what it would have seen.
    """

    def __init__(self, states: Sequence[WorldState]) -> None:
        self._states = states
        self._before = [state.snapshot() for state in states]
        self._reserved: list[tuple[KVCache, range]] = []
        self._committed: list[tuple[KVCache, range]] = []
        self._replaced: list[tuple[WorldState, str, KVCache, KVCache]] = []

    def reserve(self, cache: KVCache, latents: range) -> None:
        """Reserves room that a failed step gives back."""
        cache.reserve(latents)
        self._reserved.append((cache, latents))

    def commit(self, cache: KVCache, latents: range) -> None:
        """Commits pages that a failed step takes back."""
        cache.commit(latents)
        self._committed.append((cache, latents))

    def replace_cache(self, state: WorldState, name: str, fresh: KVCache) -> None:
        """Gives a world a new cache; the old one is closed when the step has happened, and comes back if it fails."""
        self._replaced.append((state, name, state.caches[name], fresh))
        state.caches[name] = fresh

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            for _, _, old, _ in self._replaced:
                old.close()
            return
        for cache, latents in self._committed:
            cache.uncommit(latents)
        for cache, latents in self._reserved:
            cache.drop(latents)
        for state, name, old, fresh in reversed(self._replaced):
            state.caches[name] = old
            fresh.close()
        for state, before in zip(self._states, self._before, strict=True):
            state.restore(before)
