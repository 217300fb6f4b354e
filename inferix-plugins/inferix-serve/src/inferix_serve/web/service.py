"""What the routes of one server share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from starlette.requests import HTTPConnection

from inferix_serve.hall.names import new_name
from inferix_serve.problems import not_found

if TYPE_CHECKING:
    from inferix_serve.feeds import Feeds
    from inferix_serve.hall.events import Frames
    from inferix_serve.hall.hall import Hall
    from inferix_serve.settings import ServeSettings
    from inferix_serve.web.broadcasts import Broadcasts
    from inferix_serve.web.metrics import Metrics
    from inferix_serve.web.outputs import Outputs
    from inferix_serve.web.sessions import Sessions


class Pictures:
    """Uploaded pictures, in memory; the oldest goes where there are too many."""

    def __init__(self, max_pictures: int) -> None:
        self.decoding = asyncio.Lock()  # one at a time: a large one takes much memory
        self._max_pictures = max_pictures
        self._pictures: OrderedDict[str, Frames] = OrderedDict()

    def add(self, picture: Frames) -> str:
        """Keeps a picture; its id."""
        name = new_name()
        self._pictures[name] = picture
        while len(self._pictures) > self._max_pictures:
            self._pictures.popitem(last=False)
        return name

    def find(self, name: str) -> Frames:
        """A picture `[1, h, w, 3]`. Raises `RefusedError` (404)."""
        if name not in self._pictures:
            raise not_found("picture", name)
        return self._pictures[name]


@dataclass(slots=True)
class Service:
    """One server: its hall, and what belongs to its viewers."""

    hall: Hall
    settings: ServeSettings
    sessions: Sessions
    feeds: Feeds
    broadcasts: Broadcasts
    outputs: Outputs
    metrics: Metrics
    pictures: Pictures = field(init=False)

    def __post_init__(self) -> None:
        self.pictures = Pictures(self.settings.limits.max_pictures)


def service_of(connection: HTTPConnection) -> Service:
    """The server that a request came to."""
    return cast("Service", connection.app.state.service)
