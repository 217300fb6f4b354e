"""The streamer that throws frames away."""

from __future__ import annotations

from inferix_stream.configuration import NullConfig
from inferix_stream.live_streamer import LiveStreamer


class NullStreamer(LiveStreamer):
    """Takes frames and keeps none: for measuring a world without an output, paced or as fast as it goes."""

    def __init__(self, config: NullConfig, *, target: str = "null://") -> None:
        super().__init__(config, target=target)
