"""The page, the login, what the server says of itself, metrics."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response, WebSocket
from fastapi.responses import FileResponse, RedirectResponse

from inferix_serve.problems import RefusedError
from inferix_serve.web.describing import describe
from inferix_serve.web.guard import LOGIN
from inferix_serve.web.service import Service, service_of
from inferix_serve.web.sessions import COOKIE, SESSION_SECONDS
from inferix_serve.web.visit import Visit

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
STATIC = files("inferix_serve") / "static"
_WRONG_TOKEN_SECONDS = 0.5
_VISITOR_SECONDS = 1.0
_MIN_KEPT_FRAMES = 4
_MAX_FIELDS = 8


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(str(STATIC / "index.html"))


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    """The REST interface, for people."""
    return FileResponse(str(STATIC / "docs.html"))


@router.get(LOGIN, include_in_schema=False)
async def login_page(here: Here) -> Response:
    """Where the token is asked for."""
    if not here.sessions.needs_token:
        return RedirectResponse("/", status_code=303)
    return FileResponse(str(STATIC / "login.html"))


@router.post(LOGIN, include_in_schema=False)
async def login(request: Request, here: Here) -> Response:
    """Takes the token, which never stands in an address, and gives a session."""
    token = _field(await request.body(), "token")
    if not here.sessions.knows(token):
        await asyncio.sleep(_WRONG_TOKEN_SECONDS)
        return RedirectResponse(f"{LOGIN}#wrong", status_code=303)
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        COOKIE,
        here.sessions.begin(),
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout", include_in_schema=False)
async def logout(request: Request, here: Here) -> Response:
    """Ends the session."""
    here.sessions.end(request.headers.get("cookie", ""))
    answer = RedirectResponse(LOGIN, status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/v1/server", tags=["server"])
async def server(here: Here) -> dict[str, Any]:
    """What the server runs: the model, its actions, sizes, policy, limits."""
    return describe(here)


@router.get("/metrics", tags=["server"], response_class=Response)
async def metrics(here: Here) -> Response:
    """For Prometheus."""
    return Response(here.metrics.text(), media_type="text/plain; version=0.0.4")


@router.websocket("/v1/worlds/{world}/live")
async def live(socket: WebSocket, world: str) -> None:
    """Watch and steer a world; see docs/serving.md for the messages."""
    here = service_of(socket)
    num_kept = max(_MIN_KEPT_FRAMES, round(here.hall.engine.geometry.fps * _VISITOR_SECONDS))
    await Visit(socket, world, here, num_kept_frames=num_kept).run()


def _field(form: bytes, name: str) -> str:
    """A field of an ordinary (urlencoded) form. Raises `RefusedError` (422)."""
    try:
        return parse_qs(form.decode("ascii"), max_num_fields=_MAX_FIELDS)[name][0]
    except (ValueError, KeyError) as error:
        raise RefusedError(422, "invalid", f"There is no {name} in the form.") from error
