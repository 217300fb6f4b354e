"""The feeds of all living worlds: the bridge from the engine's thread into the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from inferix_serve.feed import Feed
from inferix_serve.hall.events import Event, Gone

if TYPE_CHECKING:
    from inferix_serve.hall.hall import Hall


class Feeds:
    """Made in the event loop that serves viewers; listens to the hall from then on."""

    def __init__(self, hall: Hall, *, on_age: Callable[[float], None] = lambda _: None) -> None:
        """`on_age` is told how old inputs are when the frame that reflects them is shown."""
        self._on_age = on_age
        self._hall = hall
        self._loop = asyncio.get_running_loop()
        self._feeds: dict[str, Feed] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inferix-jpeg")
        hall.listen(self._from_engine)

    @property
    def num_waiting_frames(self) -> int:
        """Frames of all worlds whose moment has not come."""
        return sum(feed.num_waiting for feed in self._feeds.values())

    def of(self, name: str) -> Feed | None:
        """The feed of a living world."""
        return self._feeds.get(name) or self._opened(name)

    async def close(self) -> None:
        """Ends all feeds."""
        feeds, self._feeds = list(self._feeds.values()), {}
        for feed in feeds:
            await feed.close()
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._encoder.shutdown(wait=False, cancel_futures=True)

    def _from_engine(self, name: str, event: Event) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._handle, name, event)

    def _handle(self, name: str, event: Event) -> None:
        feed = self._feeds.get(name) or self._opened(name)
        if feed is None:
            return
        feed.handle(event)
        if isinstance(event, Gone):
            del self._feeds[name]
            task = self._loop.create_task(feed.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _opened(self, name: str) -> Feed | None:
        live = self._hall.find_living(name)
        if live is None:
            return None
        feed = self._feeds[name] = Feed(live, self._hall.settings, self._encoder, on_age=self._on_age)
        return feed
