"""A user's own span: a `with` and a decorator in one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ContextDecorator
from types import TracebackType
from typing import Self

from inferix_core.events import Span


class OwnSpan(ContextDecorator):
    """Times the body of a `with`, or every call of a function; also when it raises."""

    def __init__(self, name: str, *, ended: Callable[[Span], None]) -> None:
        self._name = name
        self._ended = ended
        self._starts: list[float] = []  # one for each time it is entered: recursion is fine

    def __enter__(self) -> Self:
        self._starts.append(time.perf_counter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        start = self._starts.pop()
        self._ended(Span(self._name, start, time.perf_counter() - start))

    def _recreate_cm(self) -> OwnSpan:
        """A fresh one for each call of a decorated function, so that threads do not share starts."""
        return OwnSpan(self._name, ended=self._ended)
