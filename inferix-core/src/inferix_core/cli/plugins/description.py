"""`inferix plugins show`: one component, and how it is configured."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from inferix_core.catalog import Component
from inferix_core.cli.session import Session
from inferix_core.errors import ConfigError, nearest
from inferix_core.specs import Kind

_BOUNDS = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< ", "pattern": "matches "}


def show(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(kind.slug for kind in Kind)}.")],
    name: Annotated[str, typer.Argument(help="The component's name, or distribution:name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the JSON schema of its keys.")] = False,
) -> None:
    """Show one component: what it is, what it provides, and how it is configured."""
    session: Session = context.obj
    component = session.catalog.choose(_kind(kind), name)
    if as_json:
        typer.echo(json.dumps(_described(component), indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(f"{component.name} – {component.kind.noun} of {component.distribution} {component.version}"))
    console.print(Text(component.spec.summary))
    if component.spec.provides:
        console.print(Text(f"Provides: {', '.join(sorted(component.spec.provides))}"))
    fields = described_fields(component.spec.config)
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


def described_fields(config: type[BaseModel]) -> list[tuple[str, str, str, str, str]]:
    """Key, type, default, bounds and description of every key, as words."""
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


def _kind(slug: str) -> Kind:
    slugs = {kind.slug: kind for kind in Kind}
    if slug not in slugs:
        raise ConfigError(f"There is no kind '{slug}'.{nearest(slug, slugs)} Kinds: {', '.join(slugs)}.")
    return slugs[slug]


def _described(component: Component) -> dict[str, Any]:
    return {
        "kind": component.kind.slug,
        "name": component.name,
        "distribution": component.distribution,
        "version": component.version,
        "summary": component.spec.summary,
        "provides": sorted(component.spec.provides),
        "implementation": component.spec.implementation,
        "schema": component.spec.config.model_json_schema(),
    }


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
