"""The main job behind `inferix replay`: a world is made again from its log, written, compared."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from inferix_core.catalog.targets import is_address
from inferix_core.cli.progress import blocks_progress
from inferix_core.interruption import deferred_interrupt
from inferix_core.replay.replaying import Replay, ReplayedBlock
from inferix_core.runtime.engine import Engine

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig
    from inferix_core.replay import Recording


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """One replay: of which file, with which components, and where the video goes, if it is wanted."""

    path: Path
    recording: Recording
    config: ResolvedConfig
    catalog: Catalog
    output: str | None = None


def run_replay(request: ReplayRequest, console: Console) -> bool:
    """Replays the whole log into the output, or without one up to the first block that differs; prints the verdict.

    Of a world that went on under other circumstances, the blocks until then. True where each of them is the same.
    """
    with console.status("Loading the model …"):
        engine = Engine.build(request.config, request.catalog)
    try:
        with ExitStack() as stack:
            replay = stack.enter_context(Replay(engine, request.recording))
            output = None
            if request.output is not None:
                options = request.config.effective.get("output", {})
                output = engine.open_output(request.output, overrides=options)
                stack.callback(output.close)
            first, num_frames = None, 0
            progress = stack.enter_context(blocks_progress(console))
            task = progress.add_task(str(request.path), total=request.recording.num_comparable)
            for one in replay.blocks():
                if output is not None:
                    with deferred_interrupt():
                        output.write(one.block)
                num_frames += len(one.block.frames)
                progress.update(task, advance=1)
                if first is None and not one.is_same:
                    first = one
                    if output is None:
                        break
    finally:
        with deferred_interrupt():
            engine.close()
    print_verdict(first, num_frames / engine.geometry.fps, request, engine, console)
    if request.output is not None:
        where = request.output if is_address(request.output) else Path(request.output).resolve()
        console.print(f"Video: {where}", markup=False)
    return first is None


def rewind_by_replay(request: ReplayRequest, num_blocks: int, target: Path, console: Console) -> bool:
    """Replays the first `num_blocks` blocks and saves the world as it is then; False where one differs."""
    with console.status("Loading the model …"):
        engine = Engine.build(request.config, request.catalog)
    try:
        with Replay(engine, request.recording) as replay:
            with blocks_progress(console) as progress:
                task = progress.add_task(str(request.path), total=num_blocks)
                for one in replay.blocks(num_blocks):
                    progress.update(task, advance=1)
                    if not one.is_same:
                        print_verdict(one, one.seconds, request, engine, console)
                        console.print(f"Nothing was written to {target}.", markup=False)
                        return False
            with deferred_interrupt():
                replay.world.save(target)
    finally:
        with deferred_interrupt():
            engine.close()
    console.print(f"World: {target.resolve()} ({num_blocks} blocks)", markup=False)
    return True


def print_verdict(
    first: ReplayedBlock | None, seconds: float, request: ReplayRequest, engine: Engine, console: Console
) -> None:
    """Says whether the replay is the recorded world, what was not compared, which block differs first, and why."""
    recording, differences = request.recording, request.recording.differences(engine)
    lines: list[str] = []
    if first is None and recording.num_comparable == 0:
        has_none = "the log has no blocks" if not recording.digests else "no blocks were made as the world began"
        lines.append(f"There is nothing to compare: {has_none}.")
    elif first is None:
        lines.append(f"Verified, bit for bit: {_blocks(recording.num_comparable)}, {seconds:.2f} s.")
    else:
        lines.append(
            f"Block {first.block.index}, from {first.seconds:.2f} s on, is the first that differs. "
            f"The same before it: {_blocks(first.block.index)}."
        )
    lines += _not_compared(recording)
    if differences:
        lines.append("Not as it was when the world began, and each may change bits:")
        lines += [f"  {one}" for one in differences]
    elif first is not None:
        lines.append(
            "All that the log names and bits depend on is as it was when the world began: the log was changed since, "
            "or something that it does not name."
        )
    lines.append(_exactness(recording))
    style = "green" if first is None else "red"
    console.print(lines[0], style=style, markup=False, highlight=False)
    for line in lines[1:]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _not_compared(recording: Recording) -> list[str]:
    """Lines about what the log holds and a replay cannot make again."""
    lines: list[str] = []
    change, num_left = recording.change, len(recording.digests) - recording.num_comparable
    if change is not None and num_left:
        was = "was" if num_left == 1 else "were"
        lines.append(
            f"From block {change.num_blocks} on, the world went on under other settings: {_blocks(num_left)} {was} not "
            "compared."
        )
        lines += [f"  {one}" for one in change.changes]
    if change is None:
        lines += [
            f"A signal for block {one.block}, which the log does not have, was not compared."
            for one in recording.unreached
        ]
    return lines


def _blocks(count: int) -> str:
    return "1 block" if count == 1 else f"{count} blocks"


def _exactness(recording: Recording) -> str:
    attention = recording.circumstances.attention
    if recording.circumstances.is_cut_invariant:
        return f"{attention} is bit-exact (cut-invariant): the same bits from any lossless KV store."
    return f"{attention} is not declared cut-invariant: the same bits with the same KV store and its settings alone."
