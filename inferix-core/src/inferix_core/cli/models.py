"""`inferix models`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from inferix_core.cli.session import Session
from inferix_core.specs import Kind, ModelSpec


def models(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the installed models, with their actions and presets."""
    session: Session = context.obj
    rows: list[dict[str, Any]] = [
        {
            "name": component.name,
            "summary": component.spec.summary,
            "actions": list(component.spec.actions),
            "presets": list(component.spec.presets),
            "distribution": component.distribution,
        }
        for component in session.catalog.components(Kind.MODEL)
        if isinstance(component.spec, ModelSpec)
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo("No model is installed. Try: pip install inferix-tinyworld")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "summary", "actions", "presets", "distribution", box=None)
    for row in rows:
        table.add_row(
            row["name"],
            row["summary"],
            ", ".join(row["actions"]) or "–",
            ", ".join(row["presets"]) or "–",
            row["distribution"],
        )
    Console().print(table)
