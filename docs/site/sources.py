"""What pages show of the code: contracts, rules of suites, sources. Read, never imported, so no torch is needed."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "inferix-core" / "src" / "inferix_core"
_PREFIX = "test_"
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
T = TypeVar("T")


def site_pages() -> list[Path]:
    """The pages of the site: all in `docs/`, and of an example its README."""
    folder = ROOT / "docs"
    pages = [path for path in folder.rglob("*.md") if not path.is_relative_to(folder / "examples")]
    return sorted([*pages, *folder.glob("examples/*/README.md")])


def contracts(*names: str) -> str:
    """The Protocols of these names, as they stand in `inferix_core.contracts`."""
    found = _classes(CORE / "contracts")
    return _code("\n\n\n".join(_segment(*_known(found, name, "contract")) for name in names))


def hook(name: str) -> str:
    """A hook's signature, and what it says of itself."""
    path = CORE / "hookspecs.py"
    for node in _parsed(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            text = _segment(path, node).replace("  # type: ignore[empty-body]", "")
            return _code(text.removeprefix("@hookspec\n"))
    raise LookupError(f"There is no hook '{name}' in {path.name}.")


def source(path: str, *names: str) -> str:
    """A file below the repository, or some of its functions, classes and methods (`Class.method`)."""
    file = ROOT / path
    if not names:
        return _titled(path, file.read_text(encoding="utf-8").strip())
    found = dict(_definitions(_parsed(file)))
    return _titled(path, "\n\n\n".join(_segment(file, _known(found, name, path)) for name in names))


def rules(*suites: str) -> str:
    """What each suite needs, and its rules as sentences."""
    return "\n\n".join(_rules_of(name) for name in suites)


def _rules_of(suite: str) -> str:
    classes = _classes(CORE / "testing" / "suites")
    if suite not in classes:
        return "There is no suite for this kind yet."
    names = dict.fromkeys(name for node in _lineage(suite) for name in _rule_names(node))
    said = " ".join((ast.get_docstring(classes[suite][1]) or "").split())
    sentences = [f"- {name.removeprefix(_PREFIX).replace('_', ' ')}" for name in names]
    return "\n".join([f"**`{suite}`.** {said}", "", *sentences])


def _lineage(suite: str) -> Iterator[ast.ClassDef]:
    """A suite's classes, its bases after it."""
    classes = _classes(CORE / "testing" / "suites")
    if suite in classes:
        node = classes[suite][1]
        yield node
        for base in node.bases:
            if isinstance(base, ast.Name):
                yield from _lineage(base.id)


def _rule_names(node: ast.ClassDef) -> Iterator[str]:
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and any(
            isinstance(mark, ast.Name) and mark.id == "rule" for mark in member.decorator_list
        ):
            yield member.name


@cache
def _classes(folder: Path) -> dict[str, tuple[Path, ast.ClassDef]]:
    """Every class of a package's modules, with the file that it is in."""
    return {
        node.name: (path, node)
        for path in sorted(folder.glob("*.py"))
        for node in _parsed(path).body
        if isinstance(node, ast.ClassDef)
    }


def _definitions(within: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, _Definition]]:
    """Functions and classes by name, methods as `Class.method`."""
    for node in within.body:
        if isinstance(node, _Definition):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node, f"{node.name}.")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _segment(path: Path, node: _Definition) -> str:
    """A definition as it is written, its decorators included."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
    return textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno]))


def _known(found: Mapping[str, T], name: str, where: str) -> T:
    if name not in found:
        raise LookupError(f"'{name}' is not in {where}. There: {', '.join(sorted(found))}.")
    return found[name]


def _titled(path: str, code: str) -> str:
    language = {".py": "python", ".toml": "toml"}[Path(path).suffix]
    comment = f"# {re.sub(r'^docs/examples/', '', path)}"
    return _code(f"{comment}\n{code}", language)


def _code(text: str, language: str = "python") -> str:
    return f"```{language}\n{text}\n```"
