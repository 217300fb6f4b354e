"""`inferix plugins`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from inferix_core.catalog import PluginRecord, State
from inferix_core.cli.session import Session
from inferix_core.errors import ConfigError, nearest
from inferix_core.specs import ComponentConfig, Kind

application = typer.Typer(help="Show what is installed.", no_args_is_help=True)

_STYLES = {
    State.READY: "green",
    State.DISABLED: "dim",
    State.INCOMPATIBLE: "yellow",
    State.CONFLICTING: "yellow",
    State.BROKEN: "red",
}
_BOUNDS = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< ", "pattern": "matches "}


@application.command("list")
def list_plugins(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List every installed plugin, its state, and what it provides."""
    session: Session = context.obj
    records = session.catalog.examined()
    if as_json:
        typer.echo(json.dumps([_row(record) for record in records], indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for header in ("plugin", "state", "distribution", "version"):
        table.add_column(header, no_wrap=True)
    table.add_column("provides")
    table.add_column("reason")
    for record in records:
        row = _row(record)
        provides = ", ".join(row["provides"])
        state = Text(record.state.value, style=_STYLES[record.state])
        reason = Text(record.reason)
        table.add_row(record.name, state, record.distribution, record.version, Text(provides), reason)
    Console().print(table)


@application.command()
def show(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(kind.slug for kind in Kind)}.")],
    name: Annotated[str, typer.Argument(help="The component's name, or distribution:name.")],
) -> None:
    """Show one component: what it is, what it provides, and how it is configured."""
    session: Session = context.obj
    component = session.catalog.choose(_kind(kind), name)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(f"{component.name} – {component.kind.noun} of {component.distribution} {component.version}"))
    console.print(Text(component.spec.summary))
    if component.spec.provides:
        console.print(Text(f"Provides: {', '.join(sorted(component.spec.provides))}"))
    fields = _fields(component.spec.config)
    if not fields:
        console.print("It has nothing to configure.")
        return
    table = Table(box=None)
    table.add_column("key", no_wrap=True)
    for header in ("type", "default", "bounds", "description"):
        table.add_column(header)
    for field in fields:
        table.add_row(*(Text(cell) for cell in field))
    console.print(table)


def _kind(slug: str) -> Kind:
    slugs = {kind.slug: kind for kind in Kind}
    if slug not in slugs:
        raise ConfigError(f"There is no kind '{slug}'.{nearest(slug, slugs)} Kinds: {', '.join(slugs)}.")
    return slugs[slug]


def _row(record: PluginRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "state": record.state.value,
        "distribution": record.distribution,
        "version": record.version,
        "provides": [f"{component.kind.slug} {component.name}" for component in record.components],
        "reason": record.reason,
    }


def _fields(config: type[ComponentConfig]) -> list[tuple[str, str, str, str, str]]:
    """Key, type, default, bounds and description of every key."""
    described = config.model_json_schema()
    required = described.get("required", [])
    return [
        (
            key,
            _type(field),
            "required" if key in required else json.dumps(field.get("default"), ensure_ascii=False),
            _bounds(field),
            field.get("description", ""),
        )
        for key, field in described.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(json.dumps(value) for value in field["enum"])
    if "const" in field:
        return json.dumps(field["const"])
    if "$ref" in field:
        return "table"
    name = str(field.get("type", "any"))
    return {"object": "table", "array": "list", "null": "none"}.get(name, name)


def _bounds(field: dict[str, Any]) -> str:
    options = [field, *field.get("anyOf", [])]
    return ", ".join(f"{sign}{option[key]}" for option in options for key, sign in _BOUNDS.items() if key in option)
