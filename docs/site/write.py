"""Writes the parts of pages that come from the code: `python docs/site/write.py` (or `nox -s docs -- --update`).

A part stands in a page between `<!-- begin WHAT ARGUMENTS -->` and `<!-- end -->`. `tests/test_docs.py` compares
every part with what the code says.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

import installed
import sources

WRITERS: Mapping[str, Callable[..., str]] = {
    "contract": sources.contracts,
    "hook": sources.hook,
    "rules": sources.rules,
    "source": sources.source,
    "components": installed.components,
    "configuration": installed.configuration,
    "commands": installed.commands,
}
_PART = re.compile(r"<!-- begin (?P<what>[^\n]+?) -->\n.*?<!-- end -->", re.DOTALL)


def written(text: str) -> str:
    """A page's text with every part as the code says it now. Raises `LookupError` for a part that nothing writes."""
    return _PART.sub(_part, text)


def _part(match: re.Match[str]) -> str:
    what, *arguments = shlex.split(match["what"])
    if what not in WRITERS:
        raise LookupError(f"Nothing writes '{what}'. There are: {', '.join(WRITERS)}.")
    return f"<!-- begin {match['what']} -->\n\n{WRITERS[what](*arguments)}\n\n<!-- end -->"


def main() -> None:
    """Writes what is not current, and names it."""
    for path in sources.site_pages():
        before = path.read_text(encoding="utf-8")
        after = written(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(path.relative_to(sources.ROOT).as_posix())


if __name__ == "__main__":
    main()
