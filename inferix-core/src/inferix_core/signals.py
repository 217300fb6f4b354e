"""Signals: what a user tells a world."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inferix_core.errors import SignalError


@dataclass(frozen=True, slots=True)
class Signal:
    """What steers a world from the next block on that has not begun.

    `prompt` holds until another comes, and so does `negative_prompt`, which guided models lead away from; `action`
    lasts for one block. None changes nothing. `id` is the sender's own name for the signal and comes back with the
    block that reflects it.

    Raises `SignalError` for what is no text.
    """

    prompt: str | None = None
    action: str | None = None
    id: str | None = None
    negative_prompt: str | None = None

    def __post_init__(self) -> None:
        """Checks that what is told is text."""
        for name in ("prompt", "action", "id", "negative_prompt"):
            told: object = getattr(self, name)
            if told is not None and not isinstance(told, str):
                raise SignalError(f"A signal's {name} is text, found {told!r} ({type(told).__name__}).")

    @property
    def is_empty(self) -> bool:
        """Whether the signal changes nothing."""
        return self.prompt is None and self.negative_prompt is None and self.action is None


@dataclass(frozen=True, slots=True)
class TimedSignal:
    """A signal to be sent in the course of a run: `seconds` after its start, or once it has finished `block` blocks.

    Raises `SignalError` unless one of the two is given.
    """

    seconds: float | None
    signal: Signal
    block: int | None = None

    def __post_init__(self) -> None:
        """Checks that the time is one."""
        if (self.seconds is None) == (self.block is None):
            raise SignalError(
                f"A timed signal has either seconds or a block; found seconds = {self.seconds}, block = {self.block}."
            )

    def __str__(self) -> str:
        """`'a red ball' at 4 s`."""
        parts = (self.signal.prompt, self.signal.negative_prompt, self.signal.action)
        told = ", ".join(f"'{part}'" for part in parts if part is not None)
        return f"{told} at {self.seconds:g} s" if self.block is None else f"{told} after {self.block} blocks"

    @classmethod
    def at_block(cls, block: int, signal: Signal) -> TimedSignal:
        """The signal to be sent once a run has finished so many blocks: 0 is before its first."""
        return cls(None, signal, block)

    @property
    def place(self) -> tuple[float, int]:
        """What signals are sorted by: their seconds, and those by blocks behind them."""
        return math.inf if self.seconds is None else self.seconds, self.block or 0

    def is_due(self, *, num_blocks: int, num_frames: int, fps: float) -> bool:
        """Whether its time has come when a run has finished `num_blocks` blocks and given `num_frames` frames."""
        if self.block is not None:
            return self.block <= num_blocks
        return round((self.seconds or 0.0) * fps) <= num_frames
