"""A world that somebody may watch: the engine's world with its clock, its viewers and what it was told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inferix_core.signals import Signal

from inferix_serve.hall.ages import Ages, Percentiles
from inferix_serve.hall.clock import PlaybackClock
from inferix_serve.hall.events import Input, Made
from inferix_serve.hall.names import new_name

if TYPE_CHECKING:
    from inferix_core import Block, World

    from inferix_serve.hall.events import Frames

_NUM_KEPT_PROMPTS = 50
_UNSEEN_FRAMES = 0.5
"""A block that is late by more frames than this has missed its deadline; less shows on no screen."""


@dataclass(slots=True)
class Origin:
    """What a live world is besides the engine's world: where it came from and what it was told."""

    seed: int
    parent: str | None = None
    created: float = field(default_factory=time.time)
    prompts: list[tuple[int, str]] = field(default_factory=list)

    @property
    def prompt(self) -> str | None:
        """The prompt that holds."""
        return self.prompts[-1][1] if self.prompts else None


class LiveWorld:
    """Used by the engine's thread alone, but for `view`, `clock`, `ages` and `pictures`.

    `block_duration` is how many seconds of play time the last block lasts.
    """

    def __init__(self, world: World, origin: Origin, *, name: str | None = None) -> None:
        self.name = name or new_name()
        self.world = world
        self.origin = origin
        geometry = world.engine.geometry
        self.clock = PlaybackClock(geometry.fps)
        self.is_paused = False
        self.error: str | None = None
        self.num_viewers = 0
        self.unwatched_since = time.monotonic()
        self.may_sleep_from = 0.0
        self.is_stepping = False
        self.epoch = 0
        self.next_frame = 0
        self.num_missed = 0
        self.block_duration = 1.0
        self.block_seconds = Ages()
        self.ages = Ages()
        self.pictures: dict[int, Frames] = {}
        self._held: str | None = None
        self._was_told_action = False
        self._received: dict[str, float] = {}
        self.view: dict[str, Any] = {}
        self.refresh("playing")

    @property
    def next_block(self) -> int:
        """The first block that has not begun: the one that what is told now takes effect at."""
        return max(self.world.state.flying, default=self.world.num_blocks - 1) + 1

    @property
    def seconds_alone(self) -> float:
        """For how long nobody has watched."""
        return 0.0 if self.num_viewers else time.monotonic() - self.unwatched_since

    @property
    def oldest_reachable(self) -> int:
        """The smallest number of blocks that the world can be rewound to."""
        newest = self.world.num_blocks
        first = max(0, newest - self.world.engine.num_rewind_blocks)
        return next((n for n in range(first, newest) if self.world.journal.holds(n)), newest)

    def tell(self, signal: Signal, received: float) -> str:
        """Queues a signal and gives the id that comes back with its block. Raises `SignalError`."""
        known = signal.id or new_name()
        self.world.send(Signal(prompt=signal.prompt, action=signal.action, id=known))
        self._received[known] = received
        if signal.prompt is not None:
            self.origin.prompts = [*self.origin.prompts, (self.next_block, signal.prompt)][-_NUM_KEPT_PROMPTS:]
        self._was_told_action |= signal.action is not None
        return known

    def hold(self, action: str | None, received: float, signal_id: str | None = None) -> str | None:
        """Repeats an action for every block until another is held; None lets go. The id of the first, if any."""
        known = None if action is None else self.tell(Signal(action=action, id=signal_id), received)
        self._held = action
        return known

    def reseed(self, seed: int) -> None:
        """Draws the noise of what is to come with another seed; the world can be rewound to here, not beyond."""
        (child,) = self.world.fork(1, seeds=[seed])
        old, self.world = self.world, child
        old.close()
        self.origin.seed = seed

    def make(self) -> Made:
        """The next block, placed on the clock. Whatever the engine raises, the world is as before."""
        held = Signal(action=self._held) if self._held is not None and not self._was_told_action else None
        remaining = self.clock.remaining() if self.clock.has_frames else None
        began = time.monotonic()
        block = self.world.step(held)
        seconds = time.monotonic() - began
        self._was_told_action = False
        self.block_seconds.add(seconds)
        return self._placed(block, seconds, slack=None if remaining is None else remaining - seconds)

    def rewind(self, num_blocks: int) -> None:
        """Goes back; frames that were made and not shown are given up. Raises `UnsupportedError`."""
        self.world.rewind(num_blocks)
        self.epoch += 1
        self.clock.forget()
        self.pictures = {index: picture for index, picture in self.pictures.items() if index < num_blocks}
        self.origin.prompts = [(block, text) for block, text in self.origin.prompts if block < max(num_blocks, 1)]
        self._received.clear()
        self._was_told_action = False

    def refresh(self, state: str) -> None:
        """Makes `view` anew: the world as plain data, for readers in other threads."""
        world, frame_seconds = self.world, 1.0 / self.clock.fps
        self.view = {
            "id": self.name,
            "state": state,
            "parent": self.origin.parent,
            "created": self.origin.created,
            "prompt": self.origin.prompt,
            "prompts": [{"block": block, "prompt": text} for block, text in self.origin.prompts],
            "seed": self.origin.seed,
            "held_action": self._held,
            "num_blocks": world.num_blocks,
            "next_block": self.next_block,
            "oldest_reachable": self.oldest_reachable,
            "num_frames": self.next_frame,
            "seconds": round(world.state.num_frames * frame_seconds, 3),
            "kv_bytes": world.num_kv_bytes,
            "viewers": self.num_viewers,
            "missed_deadlines": self.num_missed,
            "block_ms": milliseconds(self.block_seconds.summary()),
            "input_to_photon_ms": milliseconds(self.ages.summary()),
            "error": self.error,
        }

    def close(self) -> None:
        """Gives the world's memory back."""
        self.clock.stand()
        self.world.close()
        self.pictures = {}

    def _placed(self, block: Block, seconds: float, *, slack: float | None) -> Made:
        frames: Frames = block.frames.numpy()
        start, late = self.clock.place(len(frames))
        is_missed = late * self.clock.fps > _UNSEEN_FRAMES
        self.num_missed += is_missed
        made = Made(
            index=block.index,
            frames=frames,
            first_frame=self.next_frame,
            start=start,
            epoch=self.epoch,
            inputs=tuple(Input(one, self._received.pop(one)) for one in block.signal_ids if one in self._received),
            seconds=seconds,
            late=late,
            is_missed=is_missed,
            slack=slack,
            kv_bytes=self.world.num_kv_bytes,
        )
        self.next_frame += len(frames)
        if len(frames):
            self.block_duration = len(frames) / self.clock.fps
            oldest = self.oldest_reachable - 1  # the picture that a world shows when it is rewound as far as it goes
            self.pictures = {
                **{index: one for index, one in self.pictures.items() if index >= oldest},
                block.index: frames[-1].copy(),
            }
        return made


def milliseconds(found: Percentiles | None) -> dict[str, float] | None:
    """Percentiles for people and charts."""
    if found is None:
        return None
    return {"p50": round(1e3 * found.p50, 1), "p95": round(1e3 * found.p95, 1), "samples": found.num_samples}
