"""The hall: all worlds over one engine, living and asleep, and what may be done with them.

Everything that touches the engine happens in one thread. Methods that return a `Future` may be called from any thread;
they raise `RefusedError` at once where a limit is met, and their futures fail with it or with the engine's own errors.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from inferix_core.signals import Signal

from inferix_serve.hall.engine_thread import EngineThread
from inferix_serve.hall.events import Listener, Rewound
from inferix_serve.hall.live_world import LiveWorld, Origin
from inferix_serve.hall.shelf import SAVED, SLEEPING, Shelf
from inferix_serve.hall.shelving import asleep_view, origin_of, shelve
from inferix_serve.hall.stage import Stage
from inferix_serve.hall.videos import Video, VideoDesk
from inferix_serve.problems import RefusedError, too_many

if TYPE_CHECKING:
    from inferix_core import Engine
    from torch import Tensor

    from inferix_serve.settings import ServeSettings

T = TypeVar("T")
_SEEDS = 2**31


class Hall:
    """Worlds over one engine. `start` begins to work, `close` puts all worlds to sleep."""

    def __init__(self, engine: Engine, settings: ServeSettings, *, actions: Sequence[str] = ()) -> None:
        """`actions` are what the model can be told to do. Raises `OutputError` where the folder cannot be used."""
        folder = settings.folder.expanduser()
        self.engine = engine
        self.settings = settings
        self.actions = tuple(actions)
        self.shelf = Shelf(
            folder / "worlds",
            max_saved=settings.limits.max_saved_worlds,
            max_sleeping=settings.limits.max_sleeping_worlds,
        )
        self.videos = VideoDesk(engine, folder / "videos", settings.limits)
        self._stage = Stage(engine, settings, self.shelf, self.videos)
        self._thread = EngineThread(self._stage.work)
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begins to make blocks."""
        self._thread.start()

    def close(self) -> None:
        """Puts all worlds to sleep and ends the thread. Safe to call twice."""
        try:
            self._thread.submit(self._stage.sleep_all).result()
        except RefusedError:  # closed already
            return
        self._thread.close()

    def listen(self, listener: Listener) -> None:
        """Tells `listener` of every event from now on, in the engine's thread."""
        self._stage.listeners = (*self._stage.listeners, listener)

    @property
    def living(self) -> Sequence[LiveWorld]:
        """The worlds that live now."""
        return tuple(self._stage.living.values())

    @property
    def num_blocks_made(self) -> int:
        """Blocks of all live worlds since the start."""
        return self._stage.num_blocks_made

    @property
    def num_missed(self) -> int:
        """Blocks that viewers had to wait for."""
        return self._stage.num_missed

    @property
    def num_waiting_commands(self) -> int:
        """Commands that wait for the engine's thread."""
        return self._thread.num_waiting

    def views(self) -> list[dict[str, Any]]:
        """All worlds, those asleep included, the newest first."""
        living = {live.name: live.view for live in self.living}
        asleep = [asleep_view(note) for note in self.shelf.notes(SLEEPING) if note.name not in living]
        return sorted([*living.values(), *asleep], key=lambda view: float(view["created"]), reverse=True)

    def view(self, name: str) -> dict[str, Any]:
        """One world, awake or asleep. Raises `RefusedError` (404)."""
        live = self.find_living(name)
        return live.view if live is not None else asleep_view(self.shelf.note(name, SLEEPING))

    def find_living(self, name: str) -> LiveWorld | None:
        """The world if it lives; its `clock`, `ages` and `pictures` may be used from any thread."""
        return self._stage.living.get(name)

    def create(
        self,
        prompt: str | None,
        *,
        seed: int | None = None,
        frames: Tensor | None = None,
        fit: str = "crop",
        num_blocks: int | None = None,
        is_paused: bool = False,
    ) -> Future[dict[str, Any]]:
        """A new world; it plays at once, unless paused, as long as somebody watches. See `Engine.create_world`."""
        seed = secrets.randbelow(_SEEDS) if seed is None else seed

        def create() -> dict[str, Any]:
            self._stage.check_room()
            world = self.engine.create_world(prompt, seed=seed, frames=frames, fit=fit, num_blocks=num_blocks)
            prompts = [(0, prompt)] if prompt is not None else []
            return self._stage.admit(world, Origin(seed, prompts=prompts), is_paused=is_paused).view

        return self._thread.submit(create)

    def load(self, saved: str) -> Future[dict[str, Any]]:
        """A new world that goes on from a saved one."""

        def load() -> dict[str, Any]:
            note = self.shelf.note(saved, SAVED)
            self._stage.check_room()
            world = self.engine.load_world(self.shelf.world_path(saved))
            return self._stage.admit(world, origin_of(note, parent=note.parent), is_paused=note.is_paused).view

        return self._thread.submit(load)

    def forget(self, name: str) -> Future[None]:
        """Closes a world for good, awake or asleep."""

        def forget() -> None:
            if name in self._stage.living:
                self._stage.leave(name, "closed")
            else:
                self.shelf.note(name, SLEEPING)
            if self.shelf.holds(name, SLEEPING):
                self.shelf.remove(name)

        return self._thread.submit(forget)

    def order_video(self, video: Video) -> Future[Video]:
        """Takes an order for a video."""
        return self._thread.submit(partial(self.videos.order, video))

    def remove_video(self, name: str) -> Future[None]:
        """Deletes a video, or gives up making it."""
        return self._thread.submit(partial(self.videos.remove, name))

    def remove_saved(self, name: str) -> Future[None]:
        """Deletes a saved world."""

        def remove() -> None:
            self.shelf.note(name, SAVED)
            self.shelf.remove(name)

        return self._thread.submit(remove)

    def watch(self, name: str) -> Future[dict[str, Any]]:
        """One viewer more; wakes a world that sleeps. Raises `RefusedError` (429) beyond the limit."""

        def watch(live: LiveWorld) -> dict[str, Any]:
            limit = self.settings.limits.max_viewers
            if sum(one.num_viewers for one in self.living) >= limit:
                raise too_many("too_many_viewers", f"{limit} viewers are watching already.", limit)
            live.num_viewers += 1
            self._stage.refresh(live)
            return live.view

        return self._command(name, watch)

    def unwatch(self, name: str) -> None:
        """One viewer fewer; nothing where the world is gone."""

        def unwatch() -> None:
            if (live := self._stage.living.get(name)) is not None:
                live.num_viewers = max(0, live.num_viewers - 1)
                live.unwatched_since = time.monotonic()
                self._stage.refresh(live)

        try:
            self._thread.submit(unwatch)
        except RefusedError:  # closing, and so is the world
            return

    def signal(self, name: str, signal: Signal, *, seed: int | None = None) -> Future[dict[str, Any]]:
        """Tells a world something; the acknowledgement names the block at which it takes effect, and its id."""
        received = time.monotonic()

        def tell(live: LiveWorld) -> dict[str, Any]:
            if not signal.is_empty:
                self.engine.check_signal(signal)  # before the seed is changed: all of it or nothing
            if seed is not None:
                live.reseed(seed)
            known = signal.id if signal.is_empty else live.tell(signal, received)
            return self._acknowledged(live, signal=known)

        return self._command(name, tell)

    def hold(self, name: str, action: str | None, *, signal_id: str | None = None) -> Future[dict[str, Any]]:
        """Holds an action down, block after block, until it is let go (None)."""
        received = time.monotonic()

        def hold(live: LiveWorld) -> dict[str, Any]:
            known = live.hold(action, received, signal_id)
            return self._acknowledged(live, signal=known)

        return self._command(name, hold)

    def pause(self, name: str) -> Future[dict[str, Any]]:
        """Stops the picture at once, and the making of blocks."""

        def pause(live: LiveWorld) -> dict[str, Any]:
            live.is_paused, live.is_stepping = True, False
            return self._acknowledged(live)

        acknowledgement = self._command(name, pause)
        if (live := self.find_living(name)) is not None:
            live.clock.stand()
        return acknowledgement

    def resume(self, name: str) -> Future[dict[str, Any]]:
        """Goes on, also after a failure."""

        def resume(live: LiveWorld) -> dict[str, Any]:
            live.is_paused, live.is_stepping, live.error = False, False, None
            return self._acknowledged(live)

        return self._command(name, resume)

    def step(self, name: str, num_blocks: int = 1) -> Future[dict[str, Any]]:
        """Makes so many blocks of a paused world, watched or not; fulfilled when they are made.

        Each is a command of its own, so that other worlds get their blocks between them.
        """
        outcome: Future[dict[str, Any]] = Future()
        outcome.set_running_or_notify_cancel()

        def begin(num_left: int, first: int | None) -> None:
            self._command(name, partial(self._stepped, first=first)).add_done_callback(partial(proceed, num_left - 1))

        def proceed(num_left: int, made: Future[dict[str, Any]]) -> None:
            try:
                if num_left == 0:
                    outcome.set_result(made.result())
                else:
                    begin(num_left, made.result()["block"])
            except Exception as error:  # belongs to whoever asked
                outcome.set_exception(error)

        begin(num_blocks, None)
        return outcome

    def rewind(self, name: str, num_blocks: int) -> Future[dict[str, Any]]:
        """Goes back to when `num_blocks` blocks were finished."""

        def rewind(live: LiveWorld) -> dict[str, Any]:
            live.rewind(num_blocks)
            self._stage.tell(name, Rewound(num_blocks, live.epoch, live.pictures.get(num_blocks - 1)))
            return self._acknowledged(live)

        return self._command(name, rewind)

    def fork(self, name: str, *, seed: int | None = None) -> Future[dict[str, Any]]:
        """A new world that goes on from here beside this one."""

        def fork(live: LiveWorld) -> dict[str, Any]:
            self._stage.check_room()
            (child,) = live.world.fork(1, seeds=None if seed is None else [seed])
            origin = Origin(live.origin.seed if seed is None else seed, parent=name, prompts=list(live.origin.prompts))
            twin = self._stage.admit(child, origin, is_paused=live.is_paused, pictures=live.pictures)
            return self._acknowledged(live, child=twin.view)

        return self._command(name, fork)

    def save(self, name: str) -> Future[dict[str, Any]]:
        """Saves the world as it is now, to be loaded as a new one; the acknowledgement names the save."""

        def save(live: LiveWorld) -> dict[str, Any]:
            self.shelf.check_room(SAVED)
            return self._acknowledged(live, saved=shelve(live, self.shelf, kind=SAVED).name)

        return self._command(name, save)

    def sleep(self, name: str) -> Future[None]:
        """Saves a world to the disk and closes it; it comes back when it is asked for."""
        return self._command(name, self._stage.sleep)

    def _stepped(self, live: LiveWorld, *, first: int | None) -> dict[str, Any]:
        """One block; `first` is the first of all that were asked for."""
        if not live.is_paused:
            raise RefusedError(409, "playing", "The world plays by itself. Pause it to step it.")
        first, live.error = live.next_block if first is None else first, None
        live.clock.forget_shown()
        self._stage.make(live)
        if live.error is not None:
            raise RefusedError(409, "world_failed", live.error)
        live.is_stepping = True
        return self._acknowledged(live, block=first)

    def _command(self, name: str, verb: Callable[[LiveWorld], T]) -> Future[T]:
        """Queues what is to be done with one world; wakes it where it sleeps."""
        limit = self.settings.limits.max_queued_commands
        with self._lock:
            if self._waiting[name] >= limit:
                raise too_many("too_many_commands", f"{limit} commands wait for this world. Slow down.", limit)
            self._waiting[name] += 1

        try:
            future = self._thread.submit(lambda: verb(self._stage.awake(name)))
        except RefusedError:
            self._served(name)
            raise
        future.add_done_callback(lambda _: self._served(name))  # also where it is cancelled before its turn
        return future

    def _served(self, name: str) -> None:
        with self._lock:
            self._waiting[name] -= 1
            if self._waiting[name] <= 0:
                del self._waiting[name]

    def _acknowledged(self, live: LiveWorld, **details: Any) -> dict[str, Any]:
        self._stage.refresh(live)
        return {"world": live.name, "block": live.next_block, **details}
