"""`inferix weights`: what is in the files that somebody has, and where the others come from. This loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

application = typer.Typer(help="Check and fetch the weights of the Wan family.", no_args_is_help=True)

_INCOMPLETE = 1


@application.command()
def check(
    path: Annotated[Path, typer.Argument(help="A checkpoint, or a folder to look through, three folders deep.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Judge whether this model can be run, e.g. wan-t2v-14B.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a folder or file holds, what is missing, and where that comes from. Reads names and shapes alone.

    Ends with 0 if a model can be run from it (for a file: if it is a whole part of one), with 1 if not.
    """
    from inferix_wan.checkpoints.verdict import check as checked_at
    from inferix_wan.commands.report import as_lines, as_table

    checked = checked_at(path, model=model)
    typer.echo(json.dumps(as_table(checked), indent=2) if as_json else "\n".join(as_lines(checked)))
    if not checked.is_complete:
        raise typer.Exit(_INCOMPLETE)


@application.command()
def fetch(
    model: Annotated[
        str, typer.Argument(help="A model or one of its sizes, e.g. self-forcing or wan-t2v-1.3B; or taehv.")
    ],
    into: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("weights"),
    revision: Annotated[
        str | None,
        typer.Option(help="A branch, tag or commit of the repository that the transformer (or taehv) is from."),
    ] = None,
) -> None:
    """Fetch the files that a model (or taehv) needs and no others, going on where an earlier fetch stopped."""
    from inferix_wan.checkpoints.fetching import fetch as fetched_into
    from inferix_wan.checkpoints.fetching import hub_of

    for line in fetched_into(model, into=into, hub=hub_of(model), revision=revision):
        typer.echo(line)
