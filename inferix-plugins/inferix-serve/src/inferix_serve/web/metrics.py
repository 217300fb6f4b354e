"""`/metrics`, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from inferix_serve.hall.events import Event, Made

if TYPE_CHECKING:
    from inferix_serve.hall.hall import Hall

_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    """Counts what happens and measures what is there, in a registry of its own."""

    def __init__(self, hall: Hall) -> None:
        registry = self._registry = CollectorRegistry()
        self._blocks = Counter("inferix_blocks", "Blocks made for live worlds.", registry=registry)
        self._missed = Counter("inferix_missed_deadlines", "Blocks that viewers waited for.", registry=registry)
        self._seconds = Histogram("inferix_block_seconds", "Time to make a block.", buckets=_SECONDS, registry=registry)
        self._slack = Histogram(
            "inferix_block_slack_seconds",
            "How long before its deadline a block was there; negative where it came after it.",
            buckets=(-2.0, -1.0, -0.5, -0.2, -0.05, 0.0, 0.05, 0.1, 0.2, 0.5, 1.0),
            registry=registry,
        )
        self.input_to_photon = Histogram(
            "inferix_input_to_photon_seconds",
            "Age of the oldest input of a frame when it went out to viewers.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.frames_sent = Counter("inferix_pictures_sent", "Frames sent as JPEG.", registry=registry)
        self.frames_dropped = Counter("inferix_pictures_dropped", "JPEGs that slow viewers missed.", registry=registry)
        gauges = {
            "inferix_worlds_living": ("Worlds that live now.", lambda: len(hall.living)),
            "inferix_viewers": ("Viewers of all worlds.", lambda: sum(one.num_viewers for one in hall.living)),
            "inferix_kv_bytes": ("Keys and values of all worlds, in bytes.", lambda: hall.engine.num_kv_bytes),
            "inferix_waiting_commands": ("Commands that wait for the engine.", lambda: hall.num_waiting_commands),
            "inferix_waiting_videos": ("Videos that are not finished.", lambda: hall.videos.num_waiting),
        }
        for name, (text, value) in gauges.items():
            self.measure(name, text, value)
        hall.listen(self._count)

    def measure(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Adds a gauge that is read when somebody asks."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _count(self, _name: str, event: Event) -> None:
        if isinstance(event, Made):
            self._blocks.inc()
            self._missed.inc(event.is_missed)
            self._seconds.observe(event.seconds)
            if event.slack is not None:
                self._slack.observe(event.slack)
