"""One step of all blocks in flight as passes through the network: guided (three passes) or distilled (one)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from inferix_core.plan import Entry, Pass, Update

from inferix_magi.config import MagiPlannerConfig
from inferix_magi.guidance import CLEAN, NULL, TEXT, GuidanceScales


@dataclass(frozen=True, slots=True)
class Moving:
    """A block in flight: the update that it undergoes in this step, its latents, how many of them are pinned."""

    update: Update
    latents: range
    num_pinned_latents: int

    def entry(self, *, branch: str, weight: float) -> Entry:
        """The block among its neighbours."""
        return Entry(
            self.update.block,
            self.latents,
            self.latents.start,
            self.update.level,
            branch,
            weight=weight,
            num_pinned_latents=self.num_pinned_latents,
        )

    def alone(self, *, branch: str, weight: float, first_position: int) -> Entry:
        """The block without any history."""
        among = self.entry(branch=branch, weight=weight)
        return replace(among, sees=(self.update.block,), reads_cache=False, first_position=first_position)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step: the blocks in flight, oldest first, and the finished block that is to be committed, if any."""

    moving: tuple[Moving, ...]
    clean: Entry | None
    finishes: tuple[int, ...]
    step_size: float

    @property
    def updates(self) -> tuple[Update, ...]:
        """What happens to the blocks in flight."""
        return tuple(one.update for one in self.moving)

    @property
    def commits(self) -> tuple[int, ...]:
        """The block that becomes pages."""
        return () if self.clean is None else (self.clean.block,)

    def with_clean(self, entries: tuple[Entry, ...], *, branch: str) -> tuple[Entry, ...]:
        """The entries with the clean block before them."""
        return entries if self.clean is None else (replace(self.clean, branch=branch), *entries)


class StepPasses(Protocol):
    """From a moment to passes; the last of them updates, commits and finishes."""

    def of(self, moment: Moment) -> Sequence[Pass]:
        """The passes, in order."""


class GuidedPasses:
    """Base models: with text, each block alone, and with history but no text; only the last one commits.

    What is predicted with a weight of zero is not computed unless other entries attend to it.
    """

    def __init__(self, config: MagiPlannerConfig) -> None:
        self._scales = GuidanceScales(config.guidance_times, config.history_scales, config.text_scales)

    def of(self, moment: Moment) -> Sequence[Pass]:
        """See `StepPasses.of`."""
        weights = [self._scales.weights(one.update.level) for one in moment.moving]
        pairs = list(zip(moment.moving, weights, strict=True))
        text = tuple(one.entry(branch=TEXT, weight=weight.text) for one, weight in pairs)
        alone = tuple(
            one.alone(branch=NULL, weight=weight.alone, first_position=0) for one, weight in pairs if weight.alone
        )
        history = tuple(one.entry(branch=NULL, weight=weight.history) for one, weight in pairs)
        passes = []
        if any(weight.text for weight in weights):
            passes.append(Pass(moment.with_clean(text, branch=CLEAN)))
        if alone:
            passes.append(Pass(alone))
        passes.append(
            Pass(
                moment.with_clean(history, branch=NULL),
                updates=moment.updates,
                commits=moment.commits,
                finishes=moment.finishes,
            )
        )
        return passes


class DistilledPass:
    """Distilled models: one pass with text. Once the oldest block is nearly clean, it is also passed alone."""

    def __init__(self, config: MagiPlannerConfig) -> None:
        self._near_clean_time = config.near_clean_time
        self._history_weight = config.near_clean_history_weight

    def of(self, moment: Moment) -> Sequence[Pass]:
        """See `StepPasses.of`."""
        oldest, newest = moment.moving[0], moment.moving[-1]
        entries = tuple(one.entry(branch=TEXT, weight=1.0) for one in moment.moving)
        if oldest.update.level.time > self._near_clean_time:
            alone = oldest.alone(branch=TEXT, weight=1.0 - self._history_weight, first_position=newest.latents.stop)
            entries = (oldest.entry(branch=TEXT, weight=self._history_weight), *entries[1:], alone)
        return [
            Pass(
                moment.with_clean(entries, branch=CLEAN),
                updates=moment.updates,
                commits=moment.commits,
                finishes=moment.finishes,
                step_size=moment.step_size,
            )
        ]
