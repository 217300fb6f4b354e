"""The application: routes, the guard around them, and a life that begins and ends with the hall's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from inferix_serve.feeds import Feeds
from inferix_serve.web import media, pages, worlds
from inferix_serve.web.answers import answer_errors
from inferix_serve.web.broadcasts import Broadcasts
from inferix_serve.web.guard import Guard
from inferix_serve.web.metrics import Metrics
from inferix_serve.web.outputs import Outputs
from inferix_serve.web.service import Service
from inferix_serve.web.sessions import Sessions

if TYPE_CHECKING:
    from inferix_serve.hall.hall import Hall

_DESCRIPTION = """Worlds that are made block by block, watched live and steered.

Every command is answered with the block at which it takes effect. A refused request has a body
{"error": {"code": …, "message": …}}: 413 for what is too large, 429 for what is too many."""


def build_app(hall: Hall) -> FastAPI:
    """The server over a hall that has not been started; it starts and closes with the application.

    Raises `OutputError` for an output that cannot be written.
    """
    settings = hall.settings
    sessions = Sessions(settings.token)
    outputs = Outputs(hall)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        metrics = Metrics(hall)
        feeds = Feeds(hall, on_age=metrics.input_to_photon.observe)
        broadcasts = Broadcasts(hall.engine.geometry, settings)
        metrics.measure("inferix_waiting_frames", "Frames whose moment has not come.", lambda: feeds.num_waiting_frames)
        metrics.measure("inferix_webrtc_viewers", "Viewers over WebRTC.", lambda: broadcasts.num_viewers)
        outputs.use(feeds)
        app.state.service = Service(hall, settings, sessions, feeds, broadcasts, outputs, metrics)
        hall.start()
        try:
            yield
        finally:
            await broadcasts.close()
            await outputs.close()
            await asyncio.to_thread(hall.close)
            await feeds.close()

    app = FastAPI(
        title="Inferix",
        version=version("inferix-serve"),
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # it would load scripts of other hosts; /docs is our own
        redoc_url=None,
        lifespan=life,
    )
    answer_errors(app)
    for one in (worlds, media, pages):
        app.include_router(one.router)
    app.mount("/static", _Static(directory=str(pages.STATIC)), name="static")
    app.add_middleware(Guard, settings=settings, sessions=sessions)
    return app


class _Static(StaticFiles):
    """The page's files; a browser asks whether they are new."""

    def file_response(self, *arguments: object, **named: object) -> object:  # type: ignore[override]
        response = super().file_response(*arguments, **named)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response
