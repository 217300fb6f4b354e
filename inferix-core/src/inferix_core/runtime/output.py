"""Opening the streamer that a target asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inferix_core.configuration import Selected, validated
from inferix_core.contracts.streamer import Streamer, VideoFormat
from inferix_core.runtime.building import build

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.events import Block
    from inferix_core.plan import Geometry


def open_output(target: str, *, geometry: Geometry, catalog: Catalog, options: Mapping[str, Any]) -> Streamer:
    """The opened streamer for `target`, which times its writes. Raises `OutputError` if it cannot be written."""
    component = catalog.streamer_for(target)
    selected = Selected(component, validated(component, options, "output"))
    streamer = TimedStreamer(build(selected, target=target))
    streamer.open(VideoFormat(geometry.frame_height, geometry.frame_width, geometry.fps))
    return streamer


class TimedStreamer:
    """A streamer whose writes are spans of the blocks' timings, where profilers find them."""

    def __init__(self, streamer: Streamer) -> None:
        self.streamer = streamer

    def open(self, video: VideoFormat) -> None:
        """See `Streamer.open`."""
        self.streamer.open(video)

    def write(self, block: Block) -> None:
        """See `Streamer.write`."""
        with block.timings.span("write", world_id=block.world_id):
            self.streamer.write(block)

    def close(self) -> None:
        """See `Streamer.close`."""
        self.streamer.close()
