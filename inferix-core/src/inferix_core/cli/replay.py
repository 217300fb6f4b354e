"""`inferix replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_core.cli.choices import ThreadsOption
from inferix_core.cli.recorded import DeviceOption, RecordedSetOption, recorded_config
from inferix_core.cli.request import check_target
from inferix_core.cli.session import Session

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig
    from inferix_core.replay import Recording

VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Compare every block; exit code 1 if one differs. The default without -o.")
]
VideoOption = Annotated[
    str | None, typer.Option("--output", "-o", help="Where the video goes: a file, a folder, or an address.")
]
OverwriteOption = Annotated[bool, typer.Option(help="Whether an output that exists may be replaced.")]


def replay(
    context: typer.Context,
    log: Annotated[Path, typer.Argument(help="What `inferix generate --log` wrote.", show_default=False)],
    verify: VerifyOption = False,
    output: VideoOption = None,
    overwrite: OverwriteOption = True,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    overrides: RecordedSetOption = None,
) -> None:
    """Make a world again from its log, and compare every frame with what the log says."""
    from inferix_core.replay import read_log

    session: Session = context.obj
    recording = read_log(log)
    config = recorded_config(
        recording.config, log, session.catalog, overrides=overrides, device=device, threads=threads
    )
    replay_recording(recording, log, config, session.catalog, verify=verify, output=output, overwrite=overwrite)


def replay_recording(
    recording: Recording,
    path: Path,
    config: ResolvedConfig,
    catalog: Catalog,
    *,
    verify: bool,
    output: str | None,
    overwrite: bool,
) -> None:
    """Replays what the file at `path` holds; exit code 1 where a block differs and that was the question."""
    if output is not None:
        check_target(output, config, catalog, overwrite=overwrite)
    from rich.console import Console

    from inferix_core.cli.replaying import ReplayRequest, run_replay  # from here on torch is needed

    is_same = run_replay(ReplayRequest(path, recording, config, catalog, output), Console())
    if not is_same and (verify or output is None):
        raise typer.Exit(1)
