"""`inferix world`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_core.cli.choices import ThreadsOption
from inferix_core.cli.recorded import DeviceOption, RecordedSetOption, recorded_config, saved_config
from inferix_core.cli.replay import OverwriteOption, VerifyOption, VideoOption, replay_recording
from inferix_core.cli.request import check_file
from inferix_core.cli.session import Session
from inferix_core.errors import ConfigError

if TYPE_CHECKING:
    from inferix_core.replay import Recording
    from inferix_core.signals import Signal
    from inferix_core.worldfile import WorldFileSummary

application = typer.Typer(help="Work on saved worlds.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="A saved world; see `inferix generate --save`.", show_default=False)]


@application.command()
def show(file: FileArgument, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what a saved world is: its model, its age, what it was told, its size."""
    from inferix_core.worldfile import describe

    summary = describe(file)
    if as_json:
        fields = {**asdict(summary), "seconds": summary.seconds, "prompt": summary.prompt}
        typer.echo(json.dumps(fields, indent=2, ensure_ascii=False, default=str))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, value in _rows(summary):
        table.add_row(label, Text(value))
    Console(highlight=False).print(table)


@application.command()
def fork(
    context: typer.Context,
    file: FileArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="The children's files; {} stands for 1, 2, 3 …, e.g. child-{}.world.",
            show_default=False,
        ),
    ],
    num_children: Annotated[int, typer.Option("-n", min=1, help="How many children.")] = 1,
    seeds: Annotated[
        str | None,
        typer.Option(help="A seed for each child's noise from here on, e.g. 1,2,3. Without: as the parent's."),
    ] = None,
    overwrite: OverwriteOption = True,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    overrides: RecordedSetOption = None,
) -> None:
    """Make worlds that go on from a saved one, each on its own."""
    session: Session = context.obj
    child_seeds = None if seeds is None else _seeds(seeds, num_children)
    if "{}" not in output and num_children > 1:
        raise ConfigError(
            f"'{output}' names one file for {num_children} children. Write {{}} where the number belongs."
        )
    targets = [Path(output.replace("{}", str(number))) for number in range(1, num_children + 1)]
    for target in targets:
        check_file(target, overwrite=overwrite)
    config = saved_config(file, session.catalog, overrides=overrides, device=device, threads=threads)
    from rich.console import Console

    from inferix_core.interruption import deferred_interrupt
    from inferix_core.runtime.engine import Engine  # from here on torch is needed

    console = Console()
    with console.status("Loading the world …"):
        engine = Engine.build(config, session.catalog)
        world = engine.load_world(file)
        children = world.fork(num_children, seeds=child_seeds)
    for child, target in zip(children, targets, strict=True):
        with deferred_interrupt():
            child.save(target)
        console.print(f"World: {target.resolve()} ({child.num_blocks} blocks)", markup=False, soft_wrap=True)


@application.command()
def rewind(
    context: typer.Context,
    file: FileArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The earlier world's file.", show_default=False)],
    blocks: Annotated[int | None, typer.Option(min=0, help="How many blocks to go back.")] = None,
    to: Annotated[int | None, typer.Option(min=1, help="Go back to when so many blocks were finished.")] = None,
    overwrite: OverwriteOption = True,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    overrides: RecordedSetOption = None,
) -> None:
    """Save a world as it was earlier.

    A saved world has no journal. It is made again from the log inside the file, up to the block that is asked for, and
    every frame on the way is compared with what the log says; where one differs nothing is written.
    """
    session: Session = context.obj
    if (blocks is None) == (to is None):
        raise ConfigError("Say how far back: either --blocks N, N blocks back, or --to N, when N were finished.")
    check_file(output, overwrite=overwrite or output == file)
    from rich.console import Console

    from inferix_core.worldfile import recording_in

    recording = recording_in(file)
    target = to if to is not None else len(recording.digests) - (blocks or 0)
    _check_reach(recording, target, f"--to {to}" if to is not None else f"--blocks {blocks}", file)
    config = recorded_config(
        recording.config, file, session.catalog, overrides=overrides, device=device, threads=threads
    )
    from inferix_core.cli.replaying import ReplayRequest, rewind_by_replay  # from here on torch is needed

    if not rewind_by_replay(ReplayRequest(file, recording, config, session.catalog), target, output, Console()):
        raise typer.Exit(1)


@application.command()
def replay(
    context: typer.Context,
    file: FileArgument,
    verify: VerifyOption = False,
    output: VideoOption = None,
    overwrite: OverwriteOption = True,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    overrides: RecordedSetOption = None,
) -> None:
    """Make a saved world again from the log inside it, and compare every frame with what the log says."""
    session: Session = context.obj
    from inferix_core.worldfile import recording_in

    recording = recording_in(file)
    config = recorded_config(
        recording.config, file, session.catalog, overrides=overrides, device=device, threads=threads
    )
    replay_recording(recording, file, config, session.catalog, verify=verify, output=output, overwrite=overwrite)


def _check_reach(recording: Recording, target: int, asked: str, file: Path) -> None:
    """Raises `ConfigError` for a number of blocks that the world cannot go back to."""
    num_blocks, most = len(recording.digests), recording.num_comparable
    if 1 <= target <= most:
        return
    found = f"{asked} was asked for; the world in '{file}' has {_count(num_blocks)}"
    reach = f"Ask for --to 1 to --to {most}." if most > 1 else "Ask for --to 1."
    if target < 1:
        raise ConfigError(f"{found}, of which 1 must stay. `inferix generate` begins a new world.")
    if target > num_blocks:
        raise ConfigError(f"{found}. {reach if most else 'Go on with it: `inferix generate --resume`.'}")
    change = recording.change
    settings = "" if change is None else f" ({', '.join(change.changes)})"
    raise ConfigError(
        f"{found}, but it went on under other settings from block {most} on{settings}, and a replay can make only the "
        f"blocks before that again. {reach if most else 'It cannot be rewound.'}"
    )


def _count(num_blocks: int) -> str:
    return "1 block" if num_blocks == 1 else f"{num_blocks} blocks"


def _rows(summary: WorldFileSummary) -> Iterator[tuple[str, str]]:
    """Label and text of what a summary says."""
    yield "file", f"{summary.path} (format {summary.format_version})"
    yield "size", f"{summary.num_bytes / 2**20:.1f} MiB, {summary.num_page_bytes / 2**20:.1f} MiB of keys and values"
    yield "model", summary.model
    yield "codec", summary.codec or "none"
    yield "dtype, device", f"{summary.dtype} on {summary.device}"
    horizon = "" if summary.horizon is None else f" of {summary.horizon}"
    yield "age", f"{summary.num_blocks} blocks{horizon}, {summary.num_frames} frames, {summary.seconds:.2f} s"
    yield "prompt", summary.prompt or "none"
    yield "seed from here on", str(summary.seed)
    for record in summary.signals:
        yield f"from block {record.block} on", _told(record.signal)
    for signal in summary.waiting:
        yield "waiting", _told(signal)
    yield "saved by", ", ".join(f"{name} {version}" for name, version in summary.versions.items())


def _told(signal: Signal) -> str:
    named = (
        ("prompt", signal.prompt),
        ("negative prompt", signal.negative_prompt),
        ("action", signal.action),
        ("id", signal.id),
    )
    return ", ".join(f"{name}: {value}" for name, value in named if value is not None)


def _seeds(text: str, num_children: int) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--seeds '{text}' are not whole numbers with commas between. Write e.g. 1,2,3.") from error
    if len(seeds) != num_children:
        raise ConfigError(f"{num_children} children were asked for with {len(seeds)} seeds. Give one for each.")
    return seeds
