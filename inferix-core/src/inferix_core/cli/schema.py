"""`inferix schema`."""

from __future__ import annotations

import json

import typer

from inferix_core import configuration
from inferix_core.cli.session import Session


def schema(context: typer.Context) -> None:
    """Print the JSON schema of a configuration file, with everything that is installed."""
    session: Session = context.obj
    typer.echo(json.dumps(configuration.schema(session.catalog), indent=2))
