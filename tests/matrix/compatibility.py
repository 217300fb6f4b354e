"""Writes docs/compatibility.md from the reports of `nox -s matrix`: `compatibility.py <folder of reports> <page>`."""

from __future__ import annotations

import platform
import re
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bounds import lowest
from packaging.requirements import Requirement
from place import ROOT, packages

SHARED = ("torch", "numpy", "av", "transformers", "pillow")
CHECKS = {
    "tests": "All tests, with the newest versions that `constraints.txt` names",
    "subsets": "Wheels of some packages beside one torch, and beside broken plugins",
    "example": "The living example and the skeletons, from their wheels",
    "oldest_core": "Today's packages beside the cores of earlier releases",
    "build": "Source distributions and wheels",
    "lowest": "The lowest versions of the pure Python libraries",
    "light": "Without torch, on several Pythons",
}


def page(reports: Path) -> str:
    """The page, in Markdown."""
    return "\n".join([*_head(), *_checks(reports), *_pythons(reports), *_packages(), *_lowest()]) + "\n"


def _head() -> Iterator[str]:
    yield "# Compatibility"
    yield ""
    yield "Written by `nox -s matrix`; not by hand."
    yield ""
    shared = ", ".join(f"{name} {version(name)}" for name in SHARED)
    yield f"Run on {datetime.now(UTC).date()} with Python {platform.python_version()} on {platform.system()}: {shared}."
    yield ""


def _checks(reports: Path) -> Iterator[str]:
    yield from ("## Checks", "", "| session | what it checks | passed | failed | skipped |", "|---|---|---|---|---|")
    for name, what in CHECKS.items():
        counts = Counter(outcome for _, outcome in _cases(reports / f"{name}.xml"))
        if not counts:
            yield f"| `{name}` | {what} | – | not run | – |"
        else:
            yield f"| `{name}` | {what} | {counts['passed']} | {counts['failed']} | {counts['skipped']} |"
    yield ""


def _pythons(reports: Path) -> Iterator[str]:
    """Outcomes of the session `light`, whose cases are named by the Python they ran on."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for name, outcome in _cases(reports / "light.xml"):
        if match := re.search(r"\[(\d+\.\d+)\]$", name):
            found[match[1]][outcome] += 1
    yield from ("## Pythons, without torch", "", "| Python | outcome |", "|---|---|")
    for python, counts in sorted(found.items(), key=lambda item: tuple(map(int, item[0].split(".")))):
        outcome = "not on the machine" if counts["skipped"] else "fails" if counts["failed"] else "works"
        yield f"| {python} | {outcome} |"
    yield ""


def _packages() -> Iterator[str]:
    yield from ("## Packages", "", "| package | version | Python | cores | siblings |", "|---|---|---|---|---|")
    for folder in packages():
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        ours = [one for one in map(Requirement, project["dependencies"]) if one.name.startswith("inferix-")]
        cores = ", ".join(f"`{_range(one)}`" for one in ours if one.name == "inferix-core") or "–"
        others = ", ".join(f"{one.name} `{_range(one)}`" for one in ours if one.name != "inferix-core") or "–"
        yield f"| {project['name']} | {project['version']} | {project['requires-python']} | {cores} | {others} |"
    kept = ", ".join(path.name.split("-")[1] for path in sorted((ROOT / "tests" / "compat").glob("inferix_core-*.whl")))
    yield from ("", f"Earlier cores that are kept and tried: {kept}.", "")


def _range(requirement: Requirement) -> str:
    return ",".join(sorted(map(str, requirement.specifier), reverse=True))  # ">=" before "<"


def _lowest() -> Iterator[str]:
    yield from ("## Lowest versions", "", "| library | lowest that works |", "|---|---|")
    for name, lowest_version in sorted(lowest().items()):
        yield f"| {name} | {lowest_version} |"


def _cases(report: Path) -> Iterator[tuple[str, str]]:
    """Name and outcome of every test in a report; nothing if there is none."""
    if not report.is_file():
        return
    for case in ET.parse(report).getroot().iter("testcase"):
        children = {child.tag for child in case}
        failed = children & {"failure", "error"}
        yield str(case.get("name")), "failed" if failed else "skipped" if "skipped" in children else "passed"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(Path(sys.argv[1])), encoding="utf-8")
