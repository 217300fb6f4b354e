"""From the engine's thread to answers: waiting for futures, and errors as JSON."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from inferix_core.errors import InferixError
from loguru import logger
from starlette.exceptions import HTTPException

from inferix_serve.problems import RefusedError, refusal_of, too_large

if TYPE_CHECKING:
    from inferix_serve.settings import ServeSettings

T = TypeVar("T")


async def outcome(future: Future[T]) -> T:
    """What the engine's thread makes of it; goes on there when the asker is gone."""
    return await asyncio.shield(asyncio.wrap_future(future))


def check_prompt(prompt: str | None, settings: ServeSettings) -> None:
    """Raises `RefusedError` (413) for a prompt that is too long."""
    limit = settings.limits.max_prompt_characters
    if prompt is not None and len(prompt) > limit:
        raise too_large("prompt_too_long", f"The prompt has {len(prompt)} characters; {limit} are taken.", limit)


def answer_errors(app: FastAPI) -> None:
    """Makes every failure a body of the same form."""

    @app.exception_handler(InferixError)
    async def refused(_request: Request, error: InferixError) -> JSONResponse:
        refusal = refusal_of(error)
        if refusal.status >= 500:
            logger.warning(f"A request failed: {error}")
        return JSONResponse(refusal.body(), status_code=refusal.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        ]  # what was sent is not sent back: it may be anything
        body = RefusedError(422, "invalid", "; ".join(problems).encode("ascii", "backslashreplace").decode()).body()
        return JSONResponse(body, status_code=422)

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> JSONResponse:
        body = RefusedError(error.status_code, "http", str(error.detail)).body()
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)
