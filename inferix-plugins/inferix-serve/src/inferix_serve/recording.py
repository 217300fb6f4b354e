"""Scripted runs: a server and one viewer in one process, who does what the script says and keeps what it sees."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from inferix_core.errors import InferixError, OutputError
from inferix_core.events import Block
from loguru import logger

from inferix_serve.client import Client
from inferix_serve.hall.ages import percentiles
from inferix_serve.hall.live_world import milliseconds
from inferix_serve.live import Live, Picture
from inferix_serve.running import Server, build_hall

if TYPE_CHECKING:
    from inferix_core import Catalog, Engine

    from inferix_serve.hall.hall import Hall
    from inferix_serve.script import Moment, Script
    from inferix_serve.settings import ServeSettings

_START_SECONDS = 60.0
_GLANCE_SECONDS = 0.02


def record_script(script: Script, raw: Mapping[str, Any], settings: ServeSettings, catalog: Catalog) -> None:
    """Carries out the script, writes the video and the report, and prints what was measured."""
    hall = build_hall(raw, (), settings, catalog)
    token = None if settings.token is None else settings.token.get_secret_value()
    try:
        with served(hall) as address, Client(address, token=token) as client:
            run = Run(script, client)
            run.carry_out()
    finally:
        hall.engine.close()
    if script.record.video is not None:
        _write_video(hall.engine, run.pictures, str(script.record.video))
    report = run.report()
    if script.record.report is not None:
        script.record.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    from rich.console import Console

    Console(highlight=False).print_json(json.dumps({key: report[key] for key in report if key != "done"}))


@contextmanager
def served(hall: Hall) -> Iterator[str]:
    """A server in a thread of its own; its address. It has ended when the body has."""
    ready = threading.Event()
    address: list[str] = []

    def remember(found: str) -> None:
        address.append(found)
        ready.set()

    server = Server(hall, on_ready=remember)
    thread = threading.Thread(target=server.run, name="inferix-server", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_SECONDS):
            raise OutputError(f"The server did not start within {_START_SECONDS:g} s.")
        yield address[0]
    finally:
        server.should_exit = True
        thread.join(_START_SECONDS)


class Run:
    """One viewer at work."""

    def __init__(self, script: Script, client: Client) -> None:
        self.pictures: list[Picture] = []
        self._script = script
        self._client = client
        self._blocks: list[Mapping[str, Any]] = []
        self._ages: list[float] = []
        self._done: list[Mapping[str, Any]] = []
        self._rewound_to: int | None = None
        self._num_given_up = 0

    def carry_out(self) -> None:
        """Watches from the first frame on for as long as the script says, and does what it says meanwhile."""
        begun = self._script.world
        options = {} if begun.seed is None else {"seed": begun.seed}
        world = self._client.create_world(begun.prompt, **options)
        waiting = sorted(_steps(self._script), key=lambda one: one[0])
        with world.live() as live:
            started: float | None = None
            while started is None or time.monotonic() - started < self._script.record.seconds:
                found = live.next(timeout_seconds=_GLANCE_SECONDS)
                if found is None and live.is_over:
                    raise InferixError("The world ended before the script did.")
                if isinstance(found, Picture) and started is None:
                    started = time.monotonic()
                self._take(found)
                while started is not None and waiting and time.monotonic() - started >= waiting[0][0]:
                    seconds, kind, fields = waiting.pop(0)
                    self._do(live, world.view, seconds, kind, fields)
            while (found := live.next(timeout_seconds=0.0)) is not None:  # what came while answers were waited for
                self._take(found)
        world.close()

    def report(self) -> dict[str, Any]:
        """What was measured."""
        numbers = [picture.number for picture in self.pictures]
        expected = numbers[-1] - numbers[0] + 1 - self._num_given_up if numbers else 0
        making = percentiles([1e-3 * block["ms"] for block in self._blocks])
        return {
            "seconds": self._script.record.seconds,
            "frames": len(numbers),
            "frames_lost": expected - len(set(numbers)),
            "frames_given_up": self._num_given_up,
            "blocks": len(self._blocks),
            "missed_deadlines": sum(bool(block["missed"]) for block in self._blocks),
            "block_ms": milliseconds(making),
            "input_to_photon_ms": milliseconds(percentiles(self._ages)),
            "done": self._done,
        }

    def _take(self, found: Picture | Mapping[str, Any] | None) -> None:
        if isinstance(found, Picture):
            self._count_given_up(found)
            self.pictures.append(found)
        elif found is not None and found["type"] == "rewound":
            self._rewound_to = found["num_blocks"]
        elif found is not None and found["type"] == "block":
            self._blocks.append(found)
        elif found is not None and found["type"] == "shown":
            self._ages.append(1e-3 * found["age_ms"])

    def _count_given_up(self, picture: Picture) -> None:
        """A rewind gives up the frames that were made and not shown: the first one after it leaves them out."""
        if self._rewound_to is None or not self.pictures:
            return
        gap = picture.number - self.pictures[-1].number - 1
        if gap > 0 and picture.block in (self._rewound_to - 1, self._rewound_to):
            self._num_given_up += gap
            self._rewound_to = None

    def _do(self, live: Live, view: Mapping[str, Any], seconds: float, kind: str, fields: dict[str, Any]) -> None:
        if kind == "rewind":
            fields = {"num_blocks": max(view["oldest_reachable"], view["num_blocks"] - fields["num_blocks"])}
        try:
            answer: Mapping[str, Any] = live.ask(kind, **fields)
        except InferixError as error:
            logger.warning(f"At {seconds:g} s, '{kind}' was refused: {error}")
            answer = {"refused": str(error)}
        self._done.append({"seconds": seconds, "do": kind, **fields, "answer": dict(answer)})


def _steps(script: Script) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """When, which command, with what; a held action is two of them."""
    for moment in script.at:
        yield from _steps_of(moment)


def _steps_of(moment: Moment) -> Iterator[tuple[float, str, dict[str, Any]]]:
    if moment.prompt is not None:
        yield moment.seconds, "signal", {"prompt": moment.prompt}
    elif moment.action is not None and moment.hold_seconds is None:
        yield moment.seconds, "signal", {"action": moment.action}
    elif moment.action is not None and moment.hold_seconds is not None:
        yield moment.seconds, "hold", {"action": moment.action}
        yield moment.seconds + moment.hold_seconds, "hold", {"action": None}
    elif moment.do is not None:
        yield moment.seconds, moment.do, {} if moment.num_blocks is None else {"num_blocks": moment.num_blocks}


def _write_video(engine: Engine, pictures: list[Picture], target: str) -> None:
    output = engine.open_output(target)
    try:
        for picture in pictures:
            frame = torch.from_numpy(picture.frame.copy())[None]
            output.write(Block(picture.block, frame, range(0)))
    finally:
        output.close()
