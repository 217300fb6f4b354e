"""The application: its commands, those that plugins add, and what becomes of errors."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from inferix_core import __version__
from inferix_core.catalog import Catalog
from inferix_core.cli import generate, models, plugins, replay, schema, weights, world
from inferix_core.cli.arguments import disabled_plugins, joined_times
from inferix_core.cli.plugin_commands import add_plugin_commands
from inferix_core.cli.session import Session, show_log
from inferix_core.errors import (
    CheckpointError,
    ConfigError,
    InferixError,
    LostRankError,
    OutputError,
    PlanError,
    SignalError,
    UnsupportedError,
    WorldFileError,
    WriteError,
)
from inferix_core.known import distribution_of_command
from inferix_core.ranks.environment import speaks_for_machine

USER_MISTAKES = (ConfigError, SignalError, CheckpointError, OutputError, PlanError, UnsupportedError, WorldFileError)
_BENCH = "bench"
_SECONDS_TO_SPEAK = 2.0
_EXIT_MISTAKE, _EXIT_FAILURE, _EXIT_INTERRUPTED = 2, 1, 130


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; the exit code: 0, 2 for a user's mistake, 130 for Ctrl-C, 1 for anything else."""
    show_log("WARNING" if speaks_for_machine() else "CRITICAL")
    arguments = joined_times(arguments)
    session = Session(Catalog.discover(without=disabled_plugins(arguments)), arguments=tuple(arguments))
    application = build_application(session.catalog, with_benches=_BENCH in arguments)
    try:
        application(list(arguments), prog_name="inferix", obj=session)
    except SystemExit as finished:  # how typer ends, also after a usage error
        return finished.code if isinstance(finished.code, int) else _EXIT_FAILURE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except LostRankError as error:
        _tell(str(error), session, on_every_rank=True)
        return _EXIT_FAILURE
    except InferixError as error:
        _tell(str(error), session)
        return exit_code(error)
    except Exception as error:  # a fault of ours or of a plugin; the user is not to be met by a traceback
        _tell(f"{type(error).__name__}: {error} (unexpected; run again with --debug to see where)", session)
        return _EXIT_FAILURE
    return 0


def exit_code(error: InferixError) -> int:
    """2 where the user can mend it by asking otherwise, 1 where something failed on the way."""
    if isinstance(error, WriteError):
        return _EXIT_FAILURE
    return _EXIT_MISTAKE if isinstance(error, USER_MISTAKES) else _EXIT_FAILURE


def build_application(catalog: Catalog, *, with_benches: bool = True) -> typer.Typer:
    """All commands, the plugins' included; without the benches their group is only named, which is quicker."""
    application = typer.Typer(
        name="inferix",
        cls=_Commands,
        help="Worlds that are generated block by block.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    application.callback()(_options)
    application.command("generate")(generate.generate)
    application.command("replay")(replay.replay)
    application.add_typer(world.application, name="world")
    application.command("models")(models.models)
    application.add_typer(weights.application, name="weights")
    application.add_typer(plugins.application, name="plugins")
    application.command("schema")(schema.schema)
    application.add_typer(_benches() if with_benches else typer.Typer(), name=_BENCH, help="Measure on this machine.")
    add_plugin_commands(application, catalog)
    return application


class _Commands(TyperGroup):
    """The commands by name; for a missing one that an official distribution adds, it says which."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if found is None and (distribution := distribution_of_command(cmd_name)):
            raise ConfigError(
                f"The command '{cmd_name}' is added by {distribution}, which is not installed, not ready or left out "
                f"(`inferix plugins list`). To install it: pip install {distribution}."
            )
        return found


def _benches() -> typer.Typer:
    from inferix_core.cli import bench  # many modules, for one command

    return bench.application


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"inferix-core {__version__}")
        raise typer.Exit


def _options(
    context: typer.Context,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Leave a plugin out: its name, its distribution, or distribution:name."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the whole log.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    # `--without` was read before there were any commands, since plugins add some.
    if debug:
        context.obj.enable_debug()


def _tell(message: str, session: Session, *, on_every_rank: bool = False) -> None:
    """One message in red on stderr, under its traceback where that was asked for.

    Of several ranks on a machine one speaks. torchrun ends all of them when the first has ended, so the others wait
    until it has spoken.
    """
    if session.debug:
        traceback.print_exc()
    if on_every_rank and (rank := os.environ.get("RANK")):
        message = f"rank {rank}: {message}"
    elif not speaks_for_machine():
        time.sleep(_SECONDS_TO_SPEAK)
        return
    from rich.console import Console  # most commands never fail

    Console(stderr=True).print(f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
