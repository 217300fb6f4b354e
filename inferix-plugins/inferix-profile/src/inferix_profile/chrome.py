"""Records as a Chrome trace: the events of the Trace Event Format that Perfetto and chrome://tracing read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from inferix_core.events import Span

from inferix_profile.records import BlockRecord, Sample

_PROCESS = 1
_ENGINE_TRACK, _OWN_TRACK = "engine", "own spans"
_PASSES = ("pass", "commit")

Event = dict[str, Any]


def chrome_trace(blocks: Iterable[BlockRecord], own_spans: Iterable[Span], samples: Iterable[Sample]) -> dict[str, Any]:
    """The trace: a track for the engine, one for each world's decoding and writing, one for own spans; microseconds."""
    tracks: dict[str, int] = {_ENGINE_TRACK: 0, _OWN_TRACK: 1}
    events = [
        *(event for record in blocks for event in _block_events(record, tracks)),
        *(_complete(span.name, span.start, span.seconds, tracks[_OWN_TRACK]) for span in own_spans),
        *(_counter(sample) for sample in samples),
    ]
    origin = min((event["ts"] for event in events), default=0.0)
    for event in events:
        event["ts"] -= origin
    names = [
        {"name": "thread_name", "ph": "M", "pid": _PROCESS, "tid": track, "args": {"name": name}}
        for name, track in tracks.items()
    ]
    return {"traceEvents": names + events, "displayTimeUnit": "ms"}


def _block_events(record: BlockRecord, tracks: dict[str, int]) -> Iterator[Event]:
    about = {"worlds": list(record.world_ids), "blocks": list(record.blocks), "failed": not record.frames}
    yield _complete(f"block {record.blocks[0]}", record.start, record.seconds, tracks[_ENGINE_TRACK], **about)
    marks = iter(record.passes)
    for span in record.spans:
        details: dict[str, Any] = {}
        if span.name in _PASSES and (mark := next(marks, None)) is not None:
            details["times"] = list(mark.times)
        name = _ENGINE_TRACK if span.world_id is None else span.world_id
        track = tracks.setdefault(name, len(tracks))
        yield _complete(span.name, span.start, span.seconds, track, **details)


def _complete(name: str, start: float, seconds: float, track: int, **details: Any) -> Event:
    return {
        "name": name,
        "ph": "X",
        "ts": 1e6 * start,
        "dur": 1e6 * seconds,
        "pid": _PROCESS,
        "tid": track,
        "args": details,
    }


def _counter(sample: Sample) -> Event:
    return {"name": sample.name, "ph": "C", "ts": 1e6 * sample.time, "pid": _PROCESS, "args": {"value": sample.value}}
