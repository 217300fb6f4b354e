"""The main job behind `inferix generate`: a world is run into a file while a progress bar says how far it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from inferix_core.catalog.targets import is_address
from inferix_core.cli.frames_file import read_picture, read_video
from inferix_core.cli.progress import frames_progress
from inferix_core.interruption import deferred_interrupt
from inferix_core.replay import write_log
from inferix_core.runtime.engine import Engine
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.cli.request import GenerateRequest
    from inferix_core.contracts.streamer import Streamer
    from inferix_core.events import Block
    from inferix_core.runtime.world import World

SPAN_LABELS = {"encode": "conditions", "pass": "denoise", "commit": "clean pass", "decode": "decode", "write": "write"}


@dataclass(slots=True)
class RunReport:
    """What a run made and how long each part took."""

    fps: float
    num_frames: int = 0
    num_blocks: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    first_frame_seconds: float = 0.0
    total_seconds: float = 0.0

    def count(self, block: Block, *, seconds: float) -> None:
        """Adds one block, written `seconds` after the run began; those that a world begins with may have no frames."""
        if self.num_frames == 0 and len(block.frames) > 0:
            self.first_frame_seconds = seconds
        self.total_seconds = seconds
        self.num_frames += len(block.frames)
        self.num_blocks += 1
        for name, spent in block.timings.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    @property
    def frames_per_second(self) -> float:
        """Viewer frames made and written in a second of wall time."""
        return self.num_frames / self.total_seconds if self.total_seconds else 0.0

    def as_mapping(self) -> Mapping[str, Any]:
        """The report as plain data, for observers."""
        return {
            "num_frames": self.num_frames,
            "num_blocks": self.num_blocks,
            "frames_per_second": self.frames_per_second,
            "first_frame_seconds": self.first_frame_seconds,
            "span_seconds": dict(self.seconds),
        }


def run_generation(request: GenerateRequest, console: Console) -> RunReport:
    """Generates what the request asks for.

    On Ctrl-C and on errors every block that was written stays readable, the world and its log are written where that
    was asked for, and the profilers write what they measured until then; the exception goes on to the caller.
    """
    frames = _frames(request)  # a file that cannot be read is told before the model is loaded
    with console.status("Loading the model …"):
        engine = Engine.build(request.config, request.catalog)
    num_frames = round(request.seconds * engine.geometry.fps)
    report = RunReport(engine.geometry.fps)
    started = time.perf_counter()
    try:
        with ExitStack() as stack:
            world = stack.enter_context(_world(engine, request, frames))
            stack.callback(_keep, world, request, console, num_blocks_before=world.num_blocks)
            blocks = world.run(seconds=request.seconds, signals=request.signals)
            outputs: list[Streamer] = []
            for target, options in _targets(request, num_frames):
                output = engine.open_output(target, overrides=options)
                stack.callback(output.close)
                outputs.append(output)
            with frames_progress(console) as progress:
                task = progress.add_task(request.output, total=num_frames, block=0, rate=0.0)
                for block in blocks:
                    with deferred_interrupt():
                        _write(block, outputs, report, started)
                    _show(progress, task, report)
    except KeyboardInterrupt:
        _print_stopped(console, report, request)
        raise
    else:
        report.total_seconds = time.perf_counter() - started
        engine.report(report.as_mapping())
        _print_summary(console, report, request)
    finally:
        with deferred_interrupt():
            engine.close()
    return report


def contact_sheet_path(output: str) -> str:
    """Where the contact sheet of an output lies: beside it, under the same name; here, if it is an address."""
    path = Path(output.rpartition("/")[2] or "inferix") if is_address(output) else Path(output)
    return str(path.with_name(f"{path.stem or path.name}.png"))


def _frames(request: GenerateRequest) -> Tensor | None:
    """What the world begins with, `[T, h, w, 3]` uint8; None where that is nothing."""
    if (beginning := request.beginning) is None:
        return None
    return read_video(beginning.path) if beginning.is_video else read_picture(beginning.path)


def _world(engine: Engine, request: GenerateRequest, frames: Tensor | None) -> World:
    """The saved world to go on with, told of the prompt if there is one, or a new one."""
    if request.resume is None:
        fit = None if request.beginning is None else request.beginning.fit
        world = engine.create_world(request.prompt, frames=frames, fit=fit)
        _warn_of_nothing_new(world, seconds=request.seconds)
        return world
    world = engine.load_world(request.resume)
    try:
        if request.prompt is not None:
            world.send(Signal(prompt=request.prompt))
    except BaseException:
        world.close()
        raise
    return world


def _warn_of_nothing_new(world: World, *, seconds: float) -> None:
    """What a world goes on from is shown first, and may be all that is."""
    prefix, geometry = world.state.prefix, world.engine.geometry
    num_given = 0 if prefix is None else geometry.num_frames(range(len(prefix)))
    if num_given and round(seconds * geometry.fps) <= num_given:
        logger.warning(
            f"The world begins with {num_given} frames that were given ({num_given / geometry.fps:.2f} s), so that "
            f"nothing in a video of {seconds:g} s is new. Ask for more --seconds."
        )


def _keep(world: World, request: GenerateRequest, console: Console, *, num_blocks_before: int) -> None:
    """Saves the world and writes its log as asked for, however the run ended; without a new block nothing changes."""
    if world.num_blocks == num_blocks_before:
        return
    with deferred_interrupt():
        if request.save is not None:
            world.save(request.save)
            console.print(f"World: {request.save.resolve()} ({world.num_blocks} blocks)", markup=False, soft_wrap=True)
        if request.log is not None:
            write_log(world, request.log)
            console.print(f"Log: {request.log.resolve()}", markup=False, soft_wrap=True)


def _targets(request: GenerateRequest, num_frames: int) -> list[tuple[str, dict[str, Any]]]:
    options = dict(request.config.effective.get("output", {}))
    targets: list[tuple[str, dict[str, Any]]] = [(request.output, options)]
    if request.contact_sheet:
        targets.append((contact_sheet_path(request.output), {"num_frames_total": num_frames}))
    return targets


def _write(block: Block, outputs: Sequence[Streamer], report: RunReport, started: float) -> None:
    for output in outputs:
        output.write(block)
    report.count(block, seconds=time.perf_counter() - started)


def _show(progress: Progress, task: TaskID, report: RunReport) -> None:
    progress.update(task, completed=report.num_frames, block=report.num_blocks, rate=report.frames_per_second)


def _print_stopped(console: Console, report: RunReport, request: GenerateRequest) -> None:
    if report.num_frames == 0:
        console.print("Stopped before the first frame; nothing was written.")
        return
    seconds = report.num_frames / report.fps
    console.print(f"Stopped early: {report.num_frames} frames ({seconds:.2f} s) are in {request.output}")


def _print_summary(console: Console, report: RunReport, request: GenerateRequest) -> None:
    video_seconds = report.num_frames / report.fps
    console.print(
        f"{report.num_frames} frames ({video_seconds:.2f} s at {report.fps:g} fps) in {report.total_seconds:.2f} s: "
        f"[bold]{report.frames_per_second:.1f} frames/s[/bold], first frames after {report.first_frame_seconds:.2f} s"
    )
    table = Table("part", "ms per block", "share", box=None)
    for name, label in SPAN_LABELS.items():
        seconds = report.seconds.get(name, 0.0)
        share = seconds / report.total_seconds if report.total_seconds else 0.0
        table.add_row(label, f"{1000.0 * seconds / report.num_blocks:.1f}", f"{share:.0%}")
    console.print(table)
    where = request.output if is_address(request.output) else Path(request.output).resolve()
    console.print(f"Video: {where}", markup=False, soft_wrap=True)
    if request.contact_sheet:
        console.print(f"Contact sheet: {Path(contact_sheet_path(request.output)).resolve()}")
