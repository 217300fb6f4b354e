"""How long our source files are: one main noun a file, a median around 120 lines, uneasy at 300, an end at 500."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNEASY, END = 300, 500


def lengths() -> Mapping[str, int]:
    """Path below the repository to number of lines, for every Python file of ours, tests included."""
    folders = [*ROOT.glob("inferix-*"), ROOT / "docs", ROOT / "tests"]
    files = [ROOT / "noxfile.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in files}


def report(found: Mapping[str, int]) -> str:
    """The median, and every file that is longer than is good."""
    long = sorted(((count, path) for path, count in found.items() if count > UNEASY), reverse=True)
    lines = [f"{len(found)} files, median {statistics.median(found.values()):.0f} lines, {len(long)} above {UNEASY}"]
    lines += [f"{count:5} {path}{'  too long' if count > END else ''}" for count, path in long]
    return "\n".join(lines)


def main() -> int:
    """Prints the report; fails where a file has gone past the end."""
    found = lengths()
    print(report(found))
    return int(max(found.values()) > END)


if __name__ == "__main__":
    sys.exit(main())
