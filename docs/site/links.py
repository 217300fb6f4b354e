"""Whether the links of pages lead anywhere: `python docs/site/links.py` lists those that do not, and fails.

Links to other hosts are collected and not followed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sources import ROOT, site_pages

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}).*?^(?P=indent)(?P=fence) *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(\s*<?(?P<target>[^()\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$", re.MULTILINE)
_ID = re.compile(r"""\bid=["'](?P<id>[^"']+)["']""")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A link in a page."""

    page: Path
    target: str

    @property
    def is_external(self) -> bool:
        """Whether it leads to another host."""
        return _SCHEME.match(self.target) is not None

    def fault(self) -> str:
        """Why it leads nowhere; empty if it does, or if it is external."""
        if self.is_external:
            return ""
        path, _, anchor = unquote(self.target).partition("#")
        if path.startswith("/"):
            return "begins with '/': say it from the page's own folder"
        target = (self.page.parent / path).resolve() if path else self.page
        if not target.exists():
            return f"there is no '{path}'"
        if not target.is_relative_to(ROOT):
            return "leads out of the repository"
        if anchor and target.suffix == ".md" and anchor not in anchors(target):
            return f"'{target.name}' has no heading '#{anchor}'"
        return ""


def pages() -> list[Path]:
    """The pages of the site, and the repository's front page."""
    return [ROOT / "README.md", *site_pages()]


def links(page: Path) -> Iterator[Link]:
    """Every link of a page, pictures included, code left out."""
    for match in _LINK.finditer(_CODE.sub("", _prose(page))):
        yield Link(page, match["target"])


@cache
def anchors(page: Path) -> frozenset[str]:
    """What can stand after `#`: headings as the site and code hosts spell them, and ids in HTML."""
    prose = _prose(page)
    return frozenset(_slug(match["text"]) for match in _HEADING.finditer(prose)) | {
        match["id"] for match in _ID.finditer(prose)
    }


def _slug(heading: str) -> str:
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def main() -> int:
    """Prints broken links, and how many lead elsewhere; a file that is named gets these, one a line."""
    found = [link for page in pages() for link in links(page)]
    broken = [(link, fault) for link in found if (fault := link.fault())]
    for link, fault in broken:
        print(f"{link.page.relative_to(ROOT)}: {link.target}: {fault}")
    external = sorted({link.target for link in found if link.is_external})
    print(f"{len(found)} links, {len(broken)} broken, {len(external)} other hosts' pages not followed")
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text("".join(f"{one}\n" for one in external), encoding="utf-8")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
