"""`inferix plugins`."""

from __future__ import annotations

import typer

from inferix_core.cli.plugins.checking import check
from inferix_core.cli.plugins.description import show
from inferix_core.cli.plugins.doctor import doctor
from inferix_core.cli.plugins.listing import list_plugins
from inferix_core.cli.plugins.skeleton import new

application = typer.Typer(help="Show, check and begin plugins.", no_args_is_help=True)
application.command("list")(list_plugins)
for _command in (show, check, doctor, new):
    application.command()(_command)
