"""One viewer's WebSocket: frames and news go out, commands come in."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from inferix_core.errors import InferixError
from inferix_core.signals import Signal
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from inferix_serve.problems import RefusedError, refusal_of
from inferix_serve.web.answers import check_prompt, outcome
from inferix_serve.web.messages import read_message
from inferix_serve.wire import PICTURE_FORM, PICTURE_HEADER

if TYPE_CHECKING:
    from inferix_serve.feed import Feed, Shown
    from inferix_serve.web.service import Service

_MAX_WAITING_NEWS = 256
_CLOSE_BASE = 4000
"""Close codes are 4000 + the HTTP status that would say the same."""


class Visit:
    """A viewer of a feed. A slow one misses frames, and is sent away when it takes nothing for long."""

    def __init__(self, socket: WebSocket, world: str, here: Service, *, num_kept_frames: int) -> None:
        """`num_kept_frames` wait for a viewer at most; then the oldest are dropped."""
        self.wants_pictures = False
        self._socket = socket
        self._world = world
        self._here = here
        self._feed: Feed | None = None
        self._news: deque[str] = deque()
        self._frames: deque[bytes] = deque()
        self._num_kept = num_kept_frames
        self._wake = asyncio.Event()
        self._is_over = False
        self._answering: set[asyncio.Task[None]] = set()
        self._connection: str | None = None

    def show(self, shown: Shown) -> None:
        """See `Viewer.show`."""
        if not self.wants_pictures or shown.picture is None:
            return
        if len(self._frames) >= self._num_kept:
            self._frames.popleft()
            self._here.metrics.frames_dropped.inc()
        self._frames.append(PICTURE_HEADER.pack(PICTURE_FORM, shown.number, shown.block) + shown.picture)
        self._wake.set()

    def tell(self, message: Mapping[str, Any]) -> None:
        """See `Viewer.tell`."""
        if self._is_over:  # it is being sent away, and must not fill the memory meanwhile
            return
        self._news.append(json.dumps(message))
        self._is_over |= message["type"] == "gone" or len(self._news) > _MAX_WAITING_NEWS
        self._wake.set()

    async def run(self) -> None:
        """Serves the viewer until it goes, or the world does."""
        await self._socket.accept()
        watching = self._here.hall.watch(self._world)
        try:
            await asyncio.wrap_future(watching)
        except InferixError as error:
            refusal = refusal_of(error)
            await self._socket.send_json({"type": "refused", **refusal.body()})
            await self._socket.close(_CLOSE_BASE + refusal.status)
            return
        except asyncio.CancelledError:
            watching.add_done_callback(self._unwatch_late)
            raise
        try:
            await self._serve()
        finally:
            self._here.hall.unwatch(self._world)

    def _unwatch_late(self, watching: Future[Any]) -> None:
        if not watching.cancelled() and watching.exception() is None:
            self._here.hall.unwatch(self._world)

    async def _serve(self) -> None:
        self._feed = self._here.feeds.of(self._world)
        if self._feed is None:  # closed between two moments
            await self._socket.close(_CLOSE_BASE + 410)
            return
        self.tell({"type": "hello", "world": self._here.hall.view(self._world)})
        self._feed.add(self)
        tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.viewers.discard(self)
            for task in (*tasks, *self._answering):
                task.cancel()
            await asyncio.gather(*tasks, *self._answering, return_exceptions=True)
            await self._hang_up()
            if self._socket.application_state is WebSocketState.CONNECTED:
                await _quietly_closed(self._socket)

    async def _send(self) -> None:
        while True:
            while self._news or self._frames:
                async with asyncio.timeout(self._here.settings.stalled_viewer_seconds):
                    if self._news:
                        await self._socket.send_text(self._news.popleft())
                    if self._frames:
                        await self._socket.send_bytes(self._frames.popleft())
                        self._here.metrics.frames_sent.inc()
            if self._is_over:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _receive(self) -> None:
        while True:
            try:
                received = await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                return
            if received["type"] == "websocket.disconnect":
                return
            self._take(received.get("text"))

    def _take(self, text: str | None) -> None:
        try:
            message = read_message(text or "")
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            self._refused(None, RefusedError(422, "invalid", problems))
            return
        if message.type == "ping":
            self.tell({"type": "pong", "ref": message.ref})
            return
        if len(self._answering) >= self._here.settings.limits.max_queued_commands:
            self._refused(message.ref, RefusedError(429, "too_many_commands", "Too many commands wait. Slow down."))
            return
        try:
            self._start(message)
        except InferixError as error:
            self._refused(message.ref, refusal_of(error))

    def _start(self, message: Any) -> None:
        """Begins to carry out a command, in the order in which commands came; its answer follows."""
        if message.type == "watch":
            self._watch_pictures(message.pictures)
            return
        if message.type == "offer":
            answer = self._answer_offer(message)
        elif message.type == "hang-up":
            answer = self._hang_up()
        else:
            if message.type == "signal":
                check_prompt(message.prompt, self._here.settings)
            answer = self._acknowledge(message.ref, _COMMANDS[message.type](self._here, self._world, message))
        task = asyncio.create_task(answer)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _watch_pictures(self, wanted: bool) -> None:
        self.wants_pictures = wanted
        if wanted and self._feed is not None:
            self._feed.add(self)  # shows the last frame at once
        elif not wanted:
            self._frames.clear()

    async def _acknowledge(self, ref: int | None, future: Future[dict[str, Any]]) -> None:
        try:
            acknowledged = await outcome(future)
            self.tell({"type": "ack", "ref": ref, **acknowledged})
        except InferixError as error:
            self._refused(ref, refusal_of(error))

    async def _answer_offer(self, message: Any) -> None:
        assert self._feed is not None, "commands come after the feed is there"
        await self._hang_up()
        try:
            answer = await self._here.broadcasts.answer(self._feed, message.sdp)
        except RefusedError as refusal:
            self._refused(message.ref, refusal)
            return
        self._connection = answer.viewer_id
        self.tell({"type": "answer", "ref": message.ref, "sdp": answer.sdp})

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._feed is not None:
            await self._here.broadcasts.leave(self._feed, connection)

    def _refused(self, ref: int | None, refusal: RefusedError) -> None:
        self.tell({"type": "refused", "ref": ref, **refusal.body()})


def _signalled(here: Service, world: str, message: Any) -> Future[dict[str, Any]]:
    signal = Signal(prompt=message.prompt, action=message.action, id=message.id)
    if signal.is_empty and message.seed is None:
        raise RefusedError(422, "value", "There is nothing to tell: give a prompt, an action or a seed.")
    return here.hall.signal(world, signal, seed=message.seed)


_COMMANDS: Mapping[str, Callable[[Service, str, Any], Future[dict[str, Any]]]] = {
    "signal": _signalled,
    "hold": lambda here, world, message: here.hall.hold(world, message.action, signal_id=message.id),
    "pause": lambda here, world, _: here.hall.pause(world),
    "resume": lambda here, world, _: here.hall.resume(world),
    "step": lambda here, world, message: here.hall.step(world, message.num_blocks),
    "rewind": lambda here, world, message: here.hall.rewind(world, message.num_blocks),
    "fork": lambda here, world, message: here.hall.fork(world, seed=message.seed),
    "save": lambda here, world, _: here.hall.save(world),
}


async def _quietly_closed(socket: WebSocket) -> None:
    try:
        async with asyncio.timeout(1.0):
            await socket.close()
    except (RuntimeError, WebSocketDisconnect, TimeoutError, OSError):
        return  # it is gone already
