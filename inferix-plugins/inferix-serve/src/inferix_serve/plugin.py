"""What this package brings, declared without loading torch or a web framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferix_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def inferix_add_commands(cli: typer.Typer) -> None:
    """`inferix serve`."""
    from inferix_serve.command import serve  # only the command line needs it

    cli.command("serve")(serve)
