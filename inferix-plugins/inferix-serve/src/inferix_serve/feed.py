"""The feed of one world: hands every frame to all viewers at its moment, in the event loop."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from inferix_serve.hall.events import Changed, Event, Gone, Input, Made, Rewound
from inferix_serve.pictures import jpeg, marked

if TYPE_CHECKING:
    from inferix_serve.hall.events import Frames
    from inferix_serve.hall.live_world import LiveWorld
    from inferix_serve.settings import ServeSettings


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame at its moment: `number` never repeats, `block` made it; `picture` is a JPEG where a viewer wants one."""

    number: int
    block: int
    frame: Frames
    picture: bytes | None


class Viewer(Protocol):
    """Somebody who watches. Neither method may wait or raise."""

    @property
    def wants_pictures(self) -> bool:
        """Whether frames shall come as JPEGs."""

    def show(self, shown: Shown) -> None:
        """A frame, now."""

    def tell(self, message: Mapping[str, Any]) -> None:
        """Something that happened to the world."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    due: float
    epoch: int
    number: int
    block: int
    frame: Frames
    inputs: tuple[Input, ...] = ()


class Feed:
    """Made and used in one event loop. `handle` takes the world's events, `close` ends it."""

    def __init__(
        self,
        live: LiveWorld,
        settings: ServeSettings,
        encoder: Executor,
        *,
        on_age: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`encoder` is where JPEGs are made, once for all viewers; `on_age` is told how old inputs are when shown."""
        self.viewers: set[Viewer] = set()
        self.last: Shown | None = None
        self._live = live
        self._settings = settings
        self._encoder = encoder
        self._on_age = on_age
        self._frames: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._epoch = live.epoch
        self._next_number = 0
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"feed-{live.name}")

    @property
    def num_waiting(self) -> int:
        """Frames that were made and whose moment has not come."""
        return len(self._frames)

    def add(self, viewer: Viewer) -> None:
        """Shows the world to one more viewer, from its last frame on."""
        self.viewers.add(viewer)
        if self.last is not None:
            shown = self.last
            if viewer.wants_pictures and shown.picture is None:
                shown = Shown(shown.number, shown.block, shown.frame, self._jpeg(shown.frame))
            viewer.show(shown)

    def handle(self, event: Event) -> None:
        """Takes what happened to the world."""
        if isinstance(event, Made):
            self._take(event)
        elif isinstance(event, Rewound):
            self._rewind(event)
        elif isinstance(event, Changed):
            self.tell({"type": "world", "world": event.view})
        elif isinstance(event, Gone):
            self.tell({"type": "gone", "how": event.how})
        self._wake.set()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tells all viewers."""
        for viewer in tuple(self.viewers):
            viewer.tell(message)

    async def close(self) -> None:
        """Ends the feed."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.viewers.clear()

    def _take(self, made: Made) -> None:
        period = 1.0 / self._live.clock.fps
        for offset, frame in enumerate(made.frames):
            self._frames.append(
                _Waiting(
                    due=made.start + offset * period,
                    epoch=made.epoch,
                    number=made.first_frame + offset,
                    block=made.index,
                    frame=frame,
                    inputs=made.inputs if offset == 0 else (),
                )
            )
        self._next_number = made.first_frame + len(made.frames)
        self.tell(
            {
                "type": "block",
                "block": made.index,
                "first_frame": made.first_frame,
                "num_frames": len(made.frames),
                "signals": [one.id for one in made.inputs],
                "ms": round(1e3 * made.seconds, 1),
                "budget_ms": round(1e3 * len(made.frames) * period, 1),
                "slack_ms": None if made.slack is None else round(1e3 * made.slack, 1),
                "missed": made.is_missed,
                "world": self._live.view,
            }
        )

    def _rewind(self, event: Rewound) -> None:
        self._epoch = event.epoch
        self._frames = deque(frame for frame in self._frames if frame.epoch >= event.epoch)
        self.tell({"type": "rewound", "num_blocks": event.num_blocks})
        if event.still is not None:  # shown at once, under the number of the frame that it is
            number = max(0, self._next_number - 1)
            self._frames.appendleft(_Waiting(-math.inf, event.epoch, number, event.num_blocks - 1, event.still))

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            delay = self._live.clock.delay(self._frames[0].due) if self._frames else math.inf
            if delay <= 0:
                await self._show(self._frames.popleft())
                continue
            try:
                async with asyncio.timeout(None if math.isinf(delay) else delay):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _show(self, waiting: _Waiting) -> None:
        frame = waiting.frame
        if self._settings.mark_frames:
            frame = marked(frame, waiting.number)
        picture = None
        if any(viewer.wants_pictures for viewer in self.viewers):
            picture = await asyncio.get_running_loop().run_in_executor(self._encoder, self._jpeg, frame)
        if waiting.epoch < self._epoch:  # the world was rewound while the picture was made
            return
        self.last = Shown(waiting.number, waiting.block, frame, picture)
        for viewer in tuple(self.viewers):
            viewer.show(self.last)
        if waiting.inputs:
            self._report(waiting)

    def _report(self, waiting: _Waiting) -> None:
        now = time.monotonic()
        age = max(now - one.received for one in waiting.inputs)
        self._live.ages.add(age)
        self._on_age(age)
        self.tell(
            {
                "type": "shown",
                "block": waiting.block,
                "frame": waiting.number,
                "signals": [one.id for one in waiting.inputs],
                "age_ms": round(1e3 * age, 1),
            }
        )

    def _jpeg(self, frame: Frames) -> bytes:
        return jpeg(frame, quality=self._settings.jpeg_quality)
