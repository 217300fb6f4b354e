"""What pages show of what is installed: components, their keys, and the commands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import typer
from inferix_core.catalog import Catalog, Component
from inferix_core.cli.application import build_application
from inferix_core.cli.plugins.description import described_fields
from inferix_core.configuration.skeleton import PROFILERS, SECTIONS, KVSection, ModelSection, RunSettings, WorldSection
from inferix_core.specs import Kind, ModelSpec, StreamerSpec
from pydantic import BaseModel
from sources import ROOT

_FIELDS = ("key", "type", "default", "bounds", "what it is")


@cache
def catalog() -> Catalog:
    """The packages of this repository and no others, whatever else is installed.

    Raises `LookupError` if one of them is not installed.
    """
    wanted = set(_distributions())
    found = Catalog.discover(only=wanted)
    ready = {record.distribution for record in found.plugins if record.is_usable}
    if missing := sorted(wanted - ready):
        raise LookupError(f"Not installed, or not ready: {', '.join(missing)}. See `inferix plugins list`.")
    return found


def components(slug: str) -> str:
    """The components of a kind, with links to their keys."""
    kind = next(kind for kind in Kind if kind.slug == slug)
    found = catalog().components(kind)
    if not found:
        return "None of the packages in this repository brings one."
    rows = [
        (
            f"[`{one.name}`](../reference/configuration.md#{_anchor(one)})",
            _text(one.spec.summary),
            ", ".join(sorted(one.spec.provides)) or "–",
            one.distribution,
        )
        for one in found
    ]
    return _table(("name", "what it is", "provides", "from"), rows)


def configuration() -> str:
    """Every key of a configuration file: those of a run, then those of each component."""
    return "\n\n".join([*_run(), *(part for kind in Kind for part in _kind(kind))])


def commands() -> str:
    """Every command with its arguments and options."""
    return "\n\n".join(_commands(typer.main.get_command(build_application(catalog())), "inferix"))


def _run() -> Iterator[str]:
    yield "## The run"
    yield _table(_FIELDS, _fields(RunSettings, without=("kv", "world")))
    for name, section in (("kv", KVSection), ("world", WorldSection)):
        yield f"`[{name}]` has besides:" if name == "kv" else f"`[{name}]` has:"
        yield _table(_FIELDS, _fields(section, without=("store", "policy", "codec")))
    yield "`[model]` has, beside the keys of the model:"
    yield _table(_FIELDS, _fields(ModelSection))


def _kind(kind: Kind) -> Iterator[str]:
    found = catalog().components(kind)
    if not found:
        return
    tables = {one: f"`[{'.'.join(keys)}]`" for one, keys in SECTIONS.items()}
    tables |= {Kind.STREAMER: "`[output]`", Kind.PROFILER: f"`[[{PROFILERS}]]`"}
    where = f": {tables[kind]}" if kind in tables else ""  # families of weights are not chosen in a configuration
    yield f"## {kind.noun[0].upper()}{kind.noun[1:]}{where}"
    for component in found:
        yield from _component(component)


def _component(component: Component) -> Iterator[str]:
    spec = component.spec
    yield f"### {component.kind.noun} `{component.name}`"
    said = [f"{_text(spec.summary)} From `{component.distribution}`."]
    if isinstance(spec, StreamerSpec) and spec.targets:
        said.append(f"Writes to: {', '.join(f'`{target}`' for target in spec.targets)}.")
    if isinstance(spec, ModelSpec) and spec.presets:
        said.append(f"Presets: {', '.join(f'`{name}`' for name in spec.presets)}.")
    if isinstance(spec, ModelSpec) and spec.actions:
        said.append(f"Actions: {', '.join(f'`{name}`' for name in spec.actions)}.")
    if spec.provides:
        said.append(f"Provides: {', '.join(sorted(spec.provides))}.")
    yield " ".join(said)
    fields = _fields(spec.config)
    yield _table(_FIELDS, fields) if fields else "It has no keys."


def _fields(config: type[BaseModel], *, without: Iterable[str] = ()) -> list[tuple[str, ...]]:
    """A row for each key, those of tables in it by their whole path."""
    rows: list[tuple[str, ...]] = []
    for key, kind, default, bounds, said in described_fields(config):
        inner = config.model_fields[key].annotation
        if key in without:
            continue
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            rows += [(f"`{key}.{name.strip('`')}`", *others) for name, *others in _fields(inner)]
        else:
            shown = default if default == "required" else f"`{default}`"
            rows.append((f"`{key}`", _text(kind), shown, _text(bounds), _text(said)))
    return rows


def _anchor(component: Component) -> str:
    return f"{component.kind.slug}-{component.name}"


def _commands(command: Any, path: str) -> Iterator[str]:
    """The parts of the page about a command, then those about what is below it."""
    yield f"{'##' if path.count(' ') <= 1 else '###'} {path}"
    yield _text(" ".join((command.help or "").split()))
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    words = [name.upper() if one.required else f"[{name.upper()}]" for one in arguments for name in [one.name]]
    below = getattr(command, "commands", {})
    yield f"```\n{' '.join([path, '[OPTIONS]', *words, *(['COMMAND'] if below else [])])}\n```"
    rows = [_parameter(one) for one in command.params if not one.hidden and one.name != "help"]
    if rows:
        yield _table(("name", "default", "what it is"), rows)
    for name, inner in below.items():
        yield from _commands(inner, f"{path} {name}")


def _parameter(parameter: Any) -> tuple[str, ...]:
    if parameter.param_type_name == "argument":
        name = f"`{parameter.name.upper()}`"
    else:
        switches = ", ".join([*parameter.opts, *parameter.secondary_opts])
        value = "" if parameter.is_flag else f" {_value(parameter)}"
        name = f"`{switches}{value}`"
    default = parameter.default
    shown = "required" if parameter.required else "–" if default in (None, False, [], ()) else f"`{_plain(default)}`"
    said = _text(" ".join((parameter.help or "").split()))
    return name, shown, f"{said} May be repeated." if parameter.multiple and "repeated" not in said else said


def _value(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()).replace("|", " or ")


def _plain(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return " ".join(map(str, default)) if isinstance(default, list | tuple) else str(getattr(default, "value", default))


def _distributions() -> Iterator[str]:
    """The packages of the repository that hold a plugin."""
    for path in [*ROOT.glob("inferix-*/pyproject.toml"), *ROOT.glob("inferix-plugins/*/pyproject.toml")]:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        if "inferix" in project.get("entry-points", {}):
            yield project["name"]


def _text(words: str) -> str:
    """Words that Markdown takes as they are, code between backticks aside."""
    parts = re.split(r"(`[^`]*`)", words)
    return "".join(part if part.startswith("`") else re.sub(r"([<*|])", r"\\\1", part) for part in parts)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(header)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cell or '–' for cell in line)} |" for line in lines)
