"""The stage: the worlds that live, and whose turn it is. Everything here happens in the engine's thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from inferix_core.errors import InferixError
from loguru import logger

from inferix_serve.hall.events import Changed, Event, Gone, Listener
from inferix_serve.hall.live_world import LiveWorld, Origin
from inferix_serve.hall.schedule import lookahead, next_due
from inferix_serve.hall.shelf import SLEEPING, Shelf
from inferix_serve.hall.shelving import origin_of, shelve
from inferix_serve.hall.videos import VideoDesk
from inferix_serve.problems import too_many

if TYPE_CHECKING:
    from inferix_core import Engine, World

    from inferix_serve.settings import ServeSettings

_VIDEO_PATIENCE_SECONDS = 5.0
"""A video that waits gets a block after so long, even where live worlds need every one."""
_NOTHING_TO_DO_SECONDS = 3600.0


class Stage:
    """Makes blocks for the living worlds, and for videos where none needs one."""

    def __init__(self, engine: Engine, settings: ServeSettings, shelf: Shelf, videos: VideoDesk) -> None:
        self.living: dict[str, LiveWorld] = {}
        self.listeners: tuple[Listener, ...] = ()
        self.num_blocks_made = 0
        self.num_missed = 0
        self._engine = engine
        self._settings = settings
        self._shelf = shelf
        self._videos = videos
        self._video_at = time.monotonic()

    def work(self) -> float:
        """One block for whoever needs it most; the seconds until somebody will."""
        pause = self._look_around()
        playing = [live for live in self.living.values() if live.view["state"] == "playing"]
        longest = max((live.block_duration for live in playing), default=0.0)
        due, seconds = next_due(playing, ahead=lookahead(playing, block_seconds=longest))
        is_patient = time.monotonic() - self._video_at < _VIDEO_PATIENCE_SECONDS
        if due is not None and (is_patient or not self._videos.num_waiting):
            self.make(due)
            return 0.0
        self._video_at = time.monotonic()
        return 0.0 if self._videos.work() else min(seconds, pause)

    def check_room(self) -> None:
        """Raises `RefusedError` (429) where no more worlds can live."""
        limit = self._settings.limits.max_worlds
        if len(self.living) >= limit:
            raise too_many("too_many_worlds", f"{limit} worlds live already. Close one, or let one fall asleep.", limit)

    def admit(
        self,
        world: World,
        origin: Origin,
        *,
        is_paused: bool,
        name: str | None = None,
        pictures: dict[int, Any] | None = None,
    ) -> LiveWorld:
        """The world as one that lives."""
        live = LiveWorld(world, origin, name=name)
        live.is_paused = is_paused
        live.pictures = dict(pictures or {})
        self.living[live.name] = live
        self.refresh(live)
        return live

    def awake(self, name: str) -> LiveWorld:
        """The living world of that name; one that sleeps is woken. Raises `RefusedError` and what `load_world` does."""
        if (live := self.living.get(name)) is not None:
            return live
        note = self._shelf.note(name, SLEEPING)
        self.check_room()
        world = self._engine.load_world(self._shelf.world_path(name))
        return self.admit(world, origin_of(note), is_paused=note.is_paused, name=name)

    def refresh(self, live: LiveWorld) -> None:
        """Finds out in which state the world is, starts or stops its clock, and tells the listeners."""
        state = self._state(live)
        if state == "playing" or (live.is_stepping and live.clock.remaining() > 0):
            if not live.clock.is_running:
                live.clock.forget_shown()
            live.clock.run()
        else:
            live.clock.stand()
        live.refresh(state)
        self.tell(live.name, Changed(live.view))

    def make(self, live: LiveWorld) -> None:
        """One block of one world; a failure stops this world and no other."""
        try:
            made = live.make()
        except InferixError as error:
            self._failed(live, str(error))
        except Exception as error:  # a fault of a plugin must not cost the other worlds
            logger.exception(f"World {live.name} failed")
            self._failed(live, f"{type(error).__name__}: {error}")
        else:
            self.num_blocks_made += 1
            self.num_missed += made.is_missed
            live.refresh(live.view["state"])
            self.tell(live.name, made)

    def sleep(self, live: LiveWorld) -> None:
        """Saves a world to the disk and closes it.

        Raises `RefusedError` where too many sleep, and what `World.save` does; then the world lives on.
        """
        if not self._shelf.holds(live.name, SLEEPING):
            self._shelf.check_room(SLEEPING)
        self._put_to_sleep(live)

    def sleep_all(self) -> None:
        """Puts every world to sleep; one that cannot be saved is closed with a warning."""
        self._videos.close()
        for live in list(self.living.values()):
            try:
                self._put_to_sleep(live)  # however many sleep already: nothing is to be lost
            except InferixError as error:
                logger.warning(f"World {live.name} cannot be saved and is lost: {error}")
                self.leave(live.name, "closed")

    def leave(self, name: str, how: str) -> None:
        """Closes a living world."""
        self.living.pop(name).close()
        self.tell(name, Gone(how))

    def tell(self, name: str, event: Event) -> None:
        """Tells the listeners."""
        for listener in self.listeners:
            listener(name, event)

    def _state(self, live: LiveWorld) -> str:
        if live.error is not None:
            return "failed"
        if live.is_paused:
            return "paused"
        is_watched = live.seconds_alone < self._settings.pause_after_seconds
        return "playing" if is_watched else "waiting"

    def _look_around(self) -> float:
        """Stops worlds that nobody watches, puts those asleep that nobody has for long; seconds until the next look."""
        next_look = 1.0
        for live in list(self.living.values()):
            if self._is_tired(live) and self._fell_asleep(live):
                continue
            if live.is_stepping and live.clock.remaining() <= 0:
                live.is_stepping = False
                self.refresh(live)
            elif self._state(live) != live.view["state"]:
                self.refresh(live)
            if live.is_stepping:
                next_look = min(next_look, live.clock.remaining())
        return next_look if self.living else _NOTHING_TO_DO_SECONDS

    def _put_to_sleep(self, live: LiveWorld) -> None:
        shelve(live, self._shelf, kind=SLEEPING)
        self.leave(live.name, "asleep")

    def _is_tired(self, live: LiveWorld) -> bool:
        return live.seconds_alone >= self._settings.sleep_after_seconds and time.monotonic() >= live.may_sleep_from

    def _fell_asleep(self, live: LiveWorld) -> bool:
        try:
            self.sleep(live)
        except InferixError as error:
            logger.warning(f"World {live.name} cannot be put to sleep: {error}")
            live.may_sleep_from = time.monotonic() + self._settings.sleep_after_seconds
            return False
        return True

    def _failed(self, live: LiveWorld, error: str) -> None:
        live.error = error
        self.refresh(live)
