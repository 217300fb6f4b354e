"""The guard at the door: who may come in, from where, and with how much.

Every request and WebSocket passes here before anything else sees it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from inferix_serve.problems import RefusedError, too_large

if TYPE_CHECKING:
    from inferix_serve.settings import ServeSettings
    from inferix_serve.web.sessions import Sessions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOGIN = "/login"
UPLOADS = "/v1/pictures"
_OPEN_PATHS = frozenset({LOGIN, "/static/login.css", "/static/icon.svg"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_SECONDS = 30.0
_REFUSED_SOCKET = 1008
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with "no-referrer", browsers leave the origin out of forms too
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Wraps the application.

    * `Host` must be an address, localhost or an allowed name: a foreign name that was made to point here (DNS
      rebinding) is turned away with 421.
    * `Origin`, where a browser sends one, must be this very host, for WebSockets and for everything that changes
      something.
    * Where a token is set, every path but the login needs it, as a bearer token or as the session of a login.
    * Bodies are read here, up to their limit and within 30 s.
    """

    def __init__(self, app: App, settings: ServeSettings, sessions: Sessions) -> None:
        self._app = app
        self._settings = settings
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one WebSocket, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check(scope, headers)
            if scope["type"] == "http":
                body = await self._body(scope, headers, receive)
                await self._app(scope, _replayed(body, receive), _with_headers(send))
            else:
                await self._app(scope, receive, send)
        except RefusedError as refusal:
            await self._refuse(refusal, scope, headers, receive, send)

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "")
        if not self._is_own_name(host):
            raise RefusedError(421, "host", "This server is not reached under that name. See --allow-host.")
        is_socket = scope["type"] == "websocket"
        if (is_socket or scope["method"] not in _SAFE_METHODS) and not _is_same_origin(headers, host):
            raise RefusedError(403, "origin", "Other sites may not talk to this server.")
        if scope["path"] not in _OPEN_PATHS and not self._sessions.admits(headers):
            raise RefusedError(401, "token", "A token is needed: Authorization: Bearer …, or log in at /login.")

    def _is_own_name(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name == "localhost" or name in {one.lower() for one in self._settings.allowed_hosts}:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _body(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> bytes:
        limits = self._settings.limits
        limit = limits.max_upload_bytes if scope["path"] == UPLOADS else limits.max_body_bytes
        refusal = too_large("body_too_large", f"The body is larger than {limit} bytes.", limit)
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise refusal
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "disconnected", "The body ended too soon.")
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise refusal
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise RefusedError(408, "slow_body", f"The body did not come within {_BODY_SECONDS:g} s.") from None

    async def _refuse(
        self, refusal: RefusedError, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket":
            await receive()  # the opening handshake; closing before it is accepted answers 403
            await send({"type": "websocket.close", "code": _REFUSED_SOCKET, "reason": refusal.code})
            return
        wants_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        if refusal.status == 401 and wants_page:
            await _answer(send, 303, b"", {"location": f"{LOGIN}?to={quote(scope['path'])}"})
            return
        extra = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
        await _answer(send, refusal.status, json.dumps(refusal.body()).encode(), extra)


async def _answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    every = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    encoded = [(name.encode(), value.encode()) for name, value in every.items()]
    guarded = _with_headers(send)
    await guarded({"type": "http.response.start", "status": status, "headers": encoded})
    await guarded({"type": "http.response.body", "body": body})


def _is_same_origin(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request comes from our own page or from no browser at all."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == host.lower()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read already, then whatever comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _with_headers(send: Send) -> Send:
    """Adds what keeps a browser careful to every answer."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            extra = [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in given]
            if b"cache-control" not in given:
                extra.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return guarded
