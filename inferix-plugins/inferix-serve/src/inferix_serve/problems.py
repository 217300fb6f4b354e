"""What the server answers where it will not do as asked: a short code, a sentence, an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferix_core.errors import (
    CapacityError,
    ConfigError,
    InferixError,
    OutputError,
    PlanError,
    SignalError,
    UnsupportedError,
    WorldFileError,
)

_STATUS: tuple[tuple[type[InferixError], int, str], ...] = (
    (SignalError, 422, "signal"),
    (ConfigError, 422, "value"),
    (PlanError, 422, "plan"),
    (UnsupportedError, 409, "unsupported"),
    (WorldFileError, 409, "world_file"),
    (CapacityError, 429, "no_room"),
    (OutputError, 507, "storage"),
)


class RefusedError(InferixError):
    """A request that is not fulfilled; nothing was changed by it."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        """`details` are further plain values for programs, e.g. the limit that was met."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.details: Mapping[str, Any] = details

    def body(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {"error": {"code": self.code, "message": str(self), **self.details}}


def not_found(what: str, name: str) -> RefusedError:
    """That there is no such thing; the name is cut, since it came from outside."""
    return RefusedError(404, "not_found", f"There is no {what} '{name[:40]}'.")


def too_many(code: str, message: str, limit: int) -> RefusedError:
    """That a limit is met."""
    return RefusedError(429, code, message, limit=limit)


def too_large(code: str, message: str, limit: int) -> RefusedError:
    """That something is larger than is taken."""
    return RefusedError(413, code, message, limit=limit)


def refusal_of(error: InferixError) -> RefusedError:
    """The engine's own errors as answers."""
    if isinstance(error, RefusedError):
        return error
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            return RefusedError(status, code, str(error))
    return RefusedError(500, "failed", str(error))
