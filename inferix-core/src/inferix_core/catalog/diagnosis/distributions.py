"""What the installed distributions of Inferix and its plugins say: copies, editable installs, extras."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import importlib_metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from inferix_core.catalog.diagnosis.finding import Finding
from inferix_core.catalog.selection import CORE_DISTRIBUTION
from inferix_core.catalog.snapshot import GROUP


def shadowed() -> Iterator[Finding]:
    """Copies that `import` never reaches because another copy comes first on the path."""
    copies: dict[str, dict[Path, str]] = defaultdict(dict)
    for distribution in importlib_metadata.distributions():
        if _is_ours(distribution):
            folder = Path(str(distribution.locate_file(""))).resolve()
            copies[canonicalize_name(distribution.metadata["Name"])].setdefault(folder, distribution.version)
    for name, places in sorted(copies.items()):
        (first, version), *others = places.items()
        for folder, other in others:
            message = (
                f"{version} in '{first}' hides {other} in '{folder}'. Remove one: pip uninstall {name}, and install "
                "the one that you want."
            )
            yield Finding(name, message, is_problem=True)


def stale() -> Iterator[Finding]:
    """Editable installs whose metadata are no longer what their project file says."""
    for distribution in _ours():
        folder = _editable_folder(distribution)
        if folder is None:
            continue
        name = canonicalize_name(distribution.metadata["Name"])
        again = f"Install it again: pip install --no-deps -e '{folder}'."
        project_file = folder / "pyproject.toml"
        if not project_file.is_file():
            yield Finding(name, f"It is installed in place from '{folder}', where no project is.", is_problem=True)
            continue
        project: dict[str, Any] = tomllib.loads(project_file.read_text(encoding="utf-8")).get("project", {})
        for what in _differences(distribution, project):
            yield Finding(name, f"It is installed in place, and {what}. {again}", is_problem=True)


def incomplete_extras() -> Iterator[Finding]:
    """Extras of which something is not installed, with the line that installs them."""
    for distribution in _ours():
        name = canonicalize_name(distribution.metadata["Name"])
        requirements = [Requirement(line) for line in distribution.requires or ()]
        for extra in distribution.metadata.get_all("Provides-Extra") or []:
            missing = [
                requirement.name
                for requirement in requirements
                if requirement.marker is not None
                and requirement.marker.evaluate({"extra": extra})
                and not requirement.marker.evaluate({"extra": ""})
                and not _is_installed(requirement)
            ]
            if missing:
                yield Finding(name, f"The extra '{extra}' lacks {', '.join(missing)}: pip install '{name}[{extra}]'")


def _differences(distribution: Any, project: dict[str, Any]) -> Iterator[str]:
    dynamic = project.get("dynamic", ())
    if "version" in project and project["version"] != distribution.version:
        yield f"its project is at {project['version']}, its metadata at {distribution.version}"
    if "entry-points" not in dynamic:
        declared = project.get("entry-points", {}).get(GROUP, {})
        installed = {point.name: point.value for point in distribution.entry_points.select(group=GROUP)}
        if declared != installed:
            yield f"its project has the entry points {declared}, its metadata {installed}"
    if "dependencies" not in dynamic:
        declared_lines = _normalised(project.get("dependencies", ()))
        installed_lines = _normalised(line for line in distribution.requires or () if "extra ==" not in line)
        if changed := sorted(declared_lines ^ installed_lines):
            yield f"its project and its metadata differ in what is required: {', '.join(changed)}"


def _normalised(lines: Iterable[str]) -> set[str]:
    return {str(Requirement(line)) for line in lines}


def _editable_folder(distribution: Any) -> Path | None:
    """The project folder of an editable install; None for any other."""
    text = distribution.read_text("direct_url.json")
    if not text:
        return None
    said = json.loads(text)
    url = urlsplit(said.get("url", ""))
    if url.scheme != "file" or not said.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(url.path))


def _ours() -> Iterator[Any]:
    """The core and every distribution with a plugin; of several copies the one that is imported."""
    seen = set()
    for distribution in importlib_metadata.distributions():
        if _is_ours(distribution) and (name := canonicalize_name(distribution.metadata["Name"])) not in seen:
            seen.add(name)
            yield distribution


def _is_ours(distribution: Any) -> bool:
    if distribution.entry_points.select(group=GROUP):
        return True
    name = distribution.metadata["Name"]
    return name is not None and canonicalize_name(name) == CORE_DISTRIBUTION


def _is_installed(requirement: Requirement) -> bool:
    try:
        version = importlib_metadata.version(requirement.name)
    except importlib_metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)
