"""The playlist of an HLS stream (RFC 8216)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its address relative to the playlist, and its length in seconds."""

    uri: str
    seconds: float


def playlist(
    segments: Sequence[Segment],
    *,
    first_number: int,
    header_uri: str,
    longest_seconds: float,
    is_event: bool,
    is_finished: bool,
) -> str:
    """The playlist of these segments, of which the first has `first_number` in the stream.

    `longest_seconds` is the length that no segment exceeds; it must stay the same as the stream goes on, as must
    `is_event`, which promises that no segment is ever taken away.
    """
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, math.ceil(longest_seconds))}",
        f"#EXT-X-MEDIA-SEQUENCE:{first_number}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        *(["#EXT-X-PLAYLIST-TYPE:EVENT"] if is_event else []),
        f'#EXT-X-MAP:URI="{header_uri}"',
    ]
    for segment in segments:
        lines += [f"#EXTINF:{segment.seconds:.6f},", segment.uri]
    if is_finished:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"
