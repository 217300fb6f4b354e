"""Who knows the token: bearer tokens of programs, and sessions of people who logged in on the page."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie

from pydantic import SecretStr

COOKIE = "inferix_session"
SESSION_SECONDS = 12 * 3600.0
_MAX_SESSIONS = 1000


class Sessions:
    """Comparisons take the same time wherever two secrets differ; sessions are kept as hashes, in memory alone."""

    def __init__(self, token: SecretStr | None, *, now: Callable[[], float] = time.monotonic) -> None:
        """Without a token everybody is admitted."""
        self._token = None if token is None else _digest(token.get_secret_value())
        self._now = now
        self._ends: dict[bytes, float] = {}

    @property
    def needs_token(self) -> bool:
        """Whether a token is asked for."""
        return self._token is not None

    def knows(self, token: str) -> bool:
        """Whether that is the token."""
        return self._token is not None and hmac.compare_digest(_digest(token), self._token)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers (lower-case names) may come in."""
        if self._token is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.knows(token.strip()):
            return True
        return self._has_session(headers.get("cookie", ""))

    def begin(self) -> str:
        """The secret of a new session; the oldest goes where there are too many."""
        now = self._now()
        self._ends = {key: end for key, end in self._ends.items() if end > now}
        while len(self._ends) >= _MAX_SESSIONS:
            del self._ends[next(iter(self._ends))]
        secret = secrets.token_urlsafe(32)
        self._ends[_digest(secret)] = now + SESSION_SECONDS
        return secret

    def end(self, cookies: str) -> None:
        """Forgets the session of a cookie header."""
        self._ends.pop(_digest(_cookie(cookies)), None)

    def _has_session(self, cookies: str) -> bool:
        # A look-up of a hash tells nothing of the secret that it is of.
        return self._ends.get(_digest(_cookie(cookies)), 0.0) > self._now()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
