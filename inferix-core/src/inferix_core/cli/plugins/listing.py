"""`inferix plugins list`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from inferix_core.catalog import PluginRecord, State
from inferix_core.cli.plugin_commands import commands_by_plugin
from inferix_core.cli.session import Session

_STYLES = {
    State.READY: "green",
    State.DISABLED: "dim",
    State.INCOMPATIBLE: "yellow",
    State.CONFLICTING: "yellow",
    State.BROKEN: "red",
}


def list_plugins(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List every installed plugin, its state, and what it provides."""
    session: Session = context.obj
    records = session.catalog.examined()
    commands = commands_by_plugin(session.catalog)
    rows = [_row(record, commands.get(record.qualified_name, [])) for record in records]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for header in ("plugin", "state", "distribution", "version"):
        table.add_column(header, no_wrap=True)
    table.add_column("provides")
    table.add_column("reason")
    for record, row in zip(records, rows, strict=True):
        provides = ", ".join(row["provides"])
        state = Text(record.state.value, style=_STYLES[record.state])
        reason = Text(record.reason)
        table.add_row(record.name, state, record.distribution, record.version, Text(provides), reason)
    Console().print(table)


def _row(record: PluginRecord, commands: Sequence[str]) -> dict[str, Any]:
    return {
        "name": record.name,
        "state": record.state.value,
        "distribution": record.distribution,
        "version": record.version,
        "provides": [
            *(f"{component.kind.slug} {component.name}" for component in record.components),
            *(f"command {name}" for name in commands),
        ],
        "reason": record.reason,
    }
