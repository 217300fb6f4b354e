"""`inferix plugins new`: the beginning of a plugin of one's own, which passes its tests as it is."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from enum import Enum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from inferix_core import __version__
from inferix_core.errors import ConfigError, OutputError
from inferix_core.known import OFFICIAL
from inferix_core.specs import API

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX, _PACKAGE, _SUFFIX = "inferix-", "PACKAGE", ".tmpl"


class SkeletonKind(Enum):
    """What can be begun."""

    MODEL = "model"
    POLICY = "policy"
    STREAMER = "streamer"


def new(
    name: Annotated[str, typer.Argument(help="The distribution's name, e.g. inferix-ocean.")],
    kind: Annotated[SkeletonKind, typer.Option(help="What it brings.")],
    folder: Annotated[Path, typer.Option(help="Where its folder is made.")] = Path(),
) -> None:
    """Write the skeleton of a plugin: a package that can be installed, is found, and passes its tests."""
    values = _values(name)
    target = folder / name
    if not folder.is_dir():
        raise OutputError(f"The folder '{folder}' does not exist. Create it first.")
    if target.exists():
        raise OutputError(f"'{target}' exists already. Choose another name or folder.")
    try:
        for path, text in _texts(kind, values):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"'{target}' cannot be written: {error.strerror}. Choose another folder.") from error
    typer.echo(
        f"Wrote '{target}'. Next:\n  pip install -e '{target}[test]'\n  pytest '{target}'\n"
        f"  inferix plugins check {name}"
    )


def _values(name: str) -> dict[str, str]:
    """What takes the places in the templates. Raises `ConfigError` for a name that cannot be one."""
    component = name.removeprefix(_PREFIX)
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(component) or keyword.iskeyword(name.replace("-", "_")):
        raise ConfigError(
            f"'{name}' is no name for a distribution. Use small letters, digits and hyphens, a letter first, e.g. "
            "inferix-ocean."
        )
    if name in OFFICIAL:
        raise ConfigError(f"'{name}' is the name of an official distribution. Choose another.")
    major, minor, *_ = __version__.split(".")
    return {
        "distribution": name,
        "component": component,
        "package": name.replace("-", "_"),
        "Class": "".join(part.capitalize() for part in component.split("-")),
        "oldest_core": f"{major}.{minor}",
        "next_core": f"{major}.{int(minor) + 1}",
        "api": str(API),
    }


def _texts(kind: SkeletonKind, values: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """Paths below the new folder and what is written there."""
    root = files("inferix_core") / "skeletons"
    for part in ("common", kind.value):
        for path, template in _files(root / part):
            name = str(path).replace(_PACKAGE, values["package"]).removesuffix(_SUFFIX)
            yield Path(name), Template(template.read_text(encoding="utf-8")).substitute(values, kind=kind.value)


def _files(folder: Traversable, path: Path = Path()) -> Iterator[tuple[Path, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _files(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name, entry
