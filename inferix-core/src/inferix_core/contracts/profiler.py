"""Profilers measure: they wrap the moments of a block through the run hooks and report at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Profiler(Protocol):
    """Built as `implementation(config)`; registered on the engine's relay, so it may implement the run hooks."""

    def summary(self) -> Mapping[str, Any]:
        """What was measured so far, as plain data."""

    def close(self) -> None:
        """Writes what is to be written. Safe to call twice."""
