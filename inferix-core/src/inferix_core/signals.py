"""Signals: what a user tells a world."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """What steers a world from the next block on that has not begun.

    `prompt` holds until another comes; `action` lasts for one block. None changes nothing.
    `id` is the sender's own name for the signal and comes back with the block that reflects it.
    """

    prompt: str | None = None
    action: str | None = None
    id: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the signal changes nothing."""
        return self.prompt is None and self.action is None


@dataclass(frozen=True, slots=True)
class TimedSignal:
    """A signal to be sent `seconds` after the start of a run."""

    seconds: float
    signal: Signal
