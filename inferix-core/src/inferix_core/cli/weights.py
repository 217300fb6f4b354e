"""`inferix weights`: what is in the files that somebody has, and where the others come from. This loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_core.cli.session import Session
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.checkpoints.family import Family

application = typer.Typer(help="Check and fetch the weights of models.", no_args_is_help=True)

_INCOMPLETE = 1


@application.command()
def check(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A checkpoint, or a folder to look through, five folders deep.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Judge whether this model can be run, e.g. wan-t2v-14B.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a folder or file holds, what is missing, and where that comes from. Reads names and shapes alone.

    Ends with 0 if a model can be run from it (for a file: if it is a whole part of one), with 1 if not.
    """
    from inferix_core.checkpoints.report import as_lines, as_table
    from inferix_core.checkpoints.verdict import check as checked_at

    checked = checked_at(path, families=_families(context), model=model)
    typer.echo(json.dumps(as_table(checked), indent=2) if as_json else "\n".join(as_lines(checked)))
    if not checked.is_complete:
        raise typer.Exit(_INCOMPLETE)


@application.command()
def fetch(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(help="A model or one of its sizes, e.g. self-forcing or wan-t2v-1.3B; or a decoder: taehv."),
    ],
    into: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("weights"),
    revision: Annotated[
        str | None,
        typer.Option(help="A branch, tag or commit of the repository that the transformer (or the decoder) is from."),
    ] = None,
) -> None:
    """Fetch the files that a model (or a decoder) needs and no others, going on where an earlier fetch stopped."""
    from inferix_core.checkpoints.fetching import fetch as fetched_into
    from inferix_core.checkpoints.fetching import hub_of

    families = _families(context)
    hub = hub_of(model, families=families)
    for line in fetched_into(model, families=families, into=into, hub=hub, revision=revision):
        typer.echo(line)


def _families(context: typer.Context) -> list[Family]:
    """Those of all models that are installed."""
    session: Session = context.obj
    specs = [component.spec for component in session.catalog.components(Kind.WEIGHTS)]
    return [spec.load()(spec.config()) for spec in specs]
