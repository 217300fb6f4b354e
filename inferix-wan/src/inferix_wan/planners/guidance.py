"""Passes under a prompt and under a negative one, weighed against each other; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferix_core.plan import MAIN_CACHE, Entry, Level, Pass, Update

from inferix_wan.branches import NULL


@dataclass(frozen=True, slots=True)
class Guidance:
    """Predictions of negative + scale * (prompt - negative) (Ho and Salimans 2022); each branch has its own cache."""

    scale: float

    @property
    def is_needed(self) -> bool:
        """Whether the negative prompt has any influence."""
        return self.scale != 1.0

    def step(self, entry: Entry, *, target: Level) -> Sequence[Pass]:
        """The passes that move a block from its entry's level to `target`."""
        update = Update(entry.block, entry.level, target)
        if not self.is_needed:
            return [Pass((entry,), updates=(update,))]
        prompted = replace(entry, weight=self.scale)
        negative = replace(entry, branch=NULL, weight=1.0 - self.scale)
        return [Pass((prompted,)), Pass((negative,), updates=(update,), cache=NULL)]

    def commit(self, entry: Entry) -> Sequence[Pass]:
        """The passes over a clean block that make its keys and values pages in every cache, and finish it."""
        block = (entry.block,)
        if not self.is_needed:
            return [Pass((entry,), commits=block, finishes=block)]
        negative = replace(entry, branch=NULL)
        return [
            Pass((entry,), commits=block, cache=MAIN_CACHE),
            Pass((negative,), commits=block, finishes=block, cache=NULL),
        ]
