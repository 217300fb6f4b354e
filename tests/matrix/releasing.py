"""Whether a package may be released: its version, its changelog and its tag say the same. `nox -s release` asks it.

A tag is `<distribution>-v<version>`, e.g. `inferix-core-v0.2.0`; a changelog begins with `## <version> (<date>)`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

_HEADING = re.compile(r"^## (?P<version>\S+) \((?P<when>[^)]+)\)$", re.MULTILINE)


def obstacles(project: Path) -> Iterator[str]:
    """What is against releasing the package in that folder as it is checked out; nothing if all agree."""
    said = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = said["name"], said["version"]
    heading = _HEADING.search((project / "CHANGELOG.md").read_text(encoding="utf-8"))
    if heading is None:
        yield f"{name}: its changelog has no heading '## {version} (<date>)'."
    else:
        if heading["version"] != version:
            yield f"{name}: its version is {version}, its changelog begins with {heading['version']}."
        if not _is_date(heading["when"]):
            yield f"{name}: its changelog says '({heading['when']})' where the date of the release belongs."
    tag = f"{name}-v{version}"
    tags = _git(project, "tag", "--points-at", "HEAD").split()
    if tag not in tags:
        others = [one for one in tags if one.startswith(f"{name}-v")]
        yield f"{name}: this commit has no tag '{tag}'" + (f", but {', '.join(others)}." if others else ".")
    if changed := _git(project, "status", "--porcelain", "--", "."):
        yield f"{name}: there are changes that are not committed: {', '.join(changed.split()[1::2])}."


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _git(project: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    found = [obstacle for folder in sys.argv[1:] for obstacle in obstacles(Path(folder))]
    print(*found, sep="\n")
    raise SystemExit(1 if found else 0)
