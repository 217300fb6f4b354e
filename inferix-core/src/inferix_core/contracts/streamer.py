"""Streamers take frames away: to a file, a folder, a viewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from inferix_core.events import Block


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What is about to be written: frame size in pixels and frames per second."""

    height: int
    width: int
    fps: float


class Streamer(Protocol):
    """Built as `implementation(config, *, target)`, where target is a path or an address.

    A file takes every frame as fast as it comes. A live streamer plays frames at the content's rate and holds few of
    them; its configuration says what happens when they are full: `lossless` lets `write` wait, `latest` drops the
    oldest and counts them.

    `open` finds out whether writing can work at all and raises `OutputError` before anything is generated.
    """

    def open(self, video: VideoFormat) -> None:
        """Prepares the target."""

    def write(self, block: Block) -> None:
        """Writes a block's frames in order, or queues them. Waits while the target is not ready, if it is lossless.

        Raises `OutputError` when the target fails; what was written before stays readable after `close`.
        """

    def close(self) -> None:
        """Finalises what was written; a live streamer first plays what it holds. Safe to call twice, and after a
        failed write.
        """
