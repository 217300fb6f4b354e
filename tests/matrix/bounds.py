"""The lowest versions that our packages say they work with, of what is pure Python.

Compiled libraries (torch, numpy, av) have no wheel of an old version for every Python and are not swapped.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from place import packages

PURE = ("importlib-metadata", "loguru", "packaging", "pluggy", "pydantic", "rich", "typer")


def lowest() -> dict[str, Version]:
    """The lowest version of each pure library that all packages accept: the highest of their lower bounds."""
    found: dict[str, Version] = {}
    for path in (folder / "pyproject.toml" for folder in packages()):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        for requirement in map(Requirement, project["dependencies"]):
            name = canonicalize_name(requirement.name)
            if name in PURE:
                found[name] = max(_lower_bound(requirement, path), found.get(name, Version("0")))
    return found


def _lower_bound(requirement: Requirement, path: Path) -> Version:
    bounds = [Version(part.version) for part in requirement.specifier if part.operator in (">=", "~=", "==")]
    if len(bounds) != 1:
        raise SystemExit(f"{path}: '{requirement}' needs one lower bound.")
    return bounds[0]
