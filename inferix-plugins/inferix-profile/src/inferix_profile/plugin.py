"""What this package brings, declared without loading torch."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec

from inferix_profile.config import TraceConfig


@hookimpl
def inferix_profilers() -> Iterable[Spec]:
    """Where the time of a block goes."""
    yield Spec(
        name="trace",
        summary="Spans of every block and world, own spans and metrics; a table, JSON, a Chrome trace.",
        implementation="inferix_profile.trace:Trace",
        config=TraceConfig,
    )
