"""Opening the streamer that a target asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inferix_core.configuration import Selected, validated
from inferix_core.contracts.streamer import Streamer, VideoFormat
from inferix_core.runtime.building import build

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.plan import Geometry


def open_output(target: str, *, geometry: Geometry, catalog: Catalog, options: Mapping[str, Any]) -> Streamer:
    """The opened streamer for `target`. Raises `OutputError` if it cannot be written."""
    component = catalog.streamer_for(target)
    selected = Selected(component, validated(component, options, "output"))
    streamer: Streamer = build(selected, target=target)
    streamer.open(VideoFormat(geometry.frame_height, geometry.frame_width, geometry.fps))
    return streamer
