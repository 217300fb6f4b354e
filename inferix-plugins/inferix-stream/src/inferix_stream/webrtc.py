"""A world in browsers, over WebRTC."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError

from inferix_stream.broadcast import Broadcast, PlayedFrame
from inferix_stream.configuration import WebRtcConfig

if TYPE_CHECKING:
    from inferix_stream.peers import Peers

VideoCodec = Literal["vp8", "h264"]
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a viewer is sent back: the session description, and the id by which we know the viewer."""

    viewer_id: str
    sdp: str
    type: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True)
class ViewerStatistics:
    """How one viewer fares: `state` is "new", "connecting", "connected" and so on, as WebRTC has it."""

    viewer_id: str
    codec: VideoCodec
    state: str
    num_frames_sent: int
    num_frames_dropped: int
    num_frames_pending: int


class WebRtcStreamer(Broadcast):
    """Shows a world to everybody whose offer is answered, encoded once for each codec in use.

    How offers come in and answers go out is left to a server. Blocks may be written from any thread; all `answer`
    calls belong to one event loop, on which the connections live.
    """

    def __init__(
        self,
        config: WebRtcConfig,
        *,
        target: str = "webrtc://",
        on_played: Callable[[PlayedFrame], None] = lambda _: None,
    ) -> None:
        super().__init__(config, target=target, on_played=on_played)
        self._webrtc = config
        self._peers: Peers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def viewers(self) -> Sequence[ViewerStatistics]:
        """Everybody who has an answer and is not gone."""
        return () if self._peers is None else self._peers.statistics()

    async def answer(self, sdp: str, *, codec: VideoCodec | None = None) -> Answer:
        """Connects a viewer: the answer to its offer. `codec` overrides the viewer's own order of preference.

        Raises `OutputError` if aiortc is not installed, the offer cannot be used, it shares no codec with us, or
        there are `max_viewers` already.
        """
        if self._video is None or self._is_closed:
            raise OutputError(f"Nobody can watch '{self.target}': it is not open. Call open() first.")
        if self._peers is None:
            self._loop = asyncio.get_running_loop()
            self._peers = _peers(self, self._webrtc)
        return await self._peers.answer(sdp, codec=codec)

    async def disconnect(self, viewer_id: str) -> None:
        """Ends one viewer's connection; nothing if it is gone."""
        if self._peers is not None:
            await self._peers.disconnect(viewer_id)

    async def wait_closed(self) -> None:
        """Returns when, after `close`, every connection is gone."""
        if self._closing is not None:
            await self._closing

    def close(self) -> None:
        """Plays what is held and ends all connections; called on their own event loop, it only begins to."""
        was_closed = self._is_closed
        super().close()
        if was_closed or self._peers is None or self._loop is None or self._loop.is_closed():
            return
        if _running_loop() is self._loop:
            self._closing = self._loop.create_task(self._peers.close())
            return
        done = asyncio.run_coroutine_threadsafe(self._close_peers(), self._loop)
        with contextlib.suppress(TimeoutError):  # the loop is busy or stopped: it closes them when it runs again
            done.result(CLOSE_SECONDS)

    async def _close_peers(self) -> None:
        assert self._peers is not None, "only called with connections"
        self._closing = asyncio.ensure_future(self._peers.close())
        await self._closing

    def _start(self, video: VideoFormat) -> None:
        _import_peers()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _peers(streamer: Broadcast, config: WebRtcConfig) -> Peers:
    return _import_peers()(streamer, config)


def _import_peers() -> type[Peers]:
    try:
        from inferix_stream.peers import Peers
    except ImportError as error:
        raise OutputError(
            f"WebRTC needs aiortc, which cannot be imported ({error}). pip install 'inferix-stream[webrtc]'."
        ) from error
    return Peers
