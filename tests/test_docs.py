"""What the pages say is so: commands exist, parts that come from the code are current, links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from inferix_core.catalog import Catalog
from inferix_core.cli.application import build_application, run
from inferix_core.cli.arguments import joined_times
from inferix_core.configuration import RunConfig, resolve
from inferix_core.specs import Kind

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = [*ROOT.glob("inferix-*/README.md"), *ROOT.glob("inferix-plugins/*/README.md")]
KINDS = [*(kind.slug for kind in Kind), "command"]
HEADINGS = ["What it is", "Contract", "Spec and config", "Rules that are tested", "Example", "Pitfalls"]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*inferix (?P<arguments>.+)$", re.MULTILINE)

sys.path.insert(0, str(DOCS / "site"))

import links  # noqa: E402 (what builds the site are scripts)
import write  # noqa: E402
from sources import site_pages  # noqa: E402

PAGES = [*links.pages(), *sorted(PACKAGES)]
CONFIGURED = [*sorted((DOCS / "kinds").glob("*.md")), DOCS / "kv.md", DOCS / "how-to" / "kv-policy.md"]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if not languages or match["language"] in languages:
            yield match["code"]


def commands(page: Path) -> list[list[str]]:
    """The arguments of every `inferix` line in the code of a page; usage lines of the reference are none."""
    lines = [
        match["arguments"]
        for code in blocks(page, "", "bash", "console", "shell", "sh")
        for match in COMMAND.finditer(code.replace("\\\n", " "))
        if "[OPTIONS]" not in match["arguments"]
    ]
    return [shlex.split(line, comments=True) for line in lines]


@cache
def application() -> Any:
    return typer.main.get_command(build_application(Catalog.discover()))


def parse(arguments: list[str]) -> None:
    """Goes down to the command and lets it read its arguments; raises where there is none, or it takes none such."""
    command, remaining, path = application(), joined_times(arguments), "inferix"
    while hasattr(command, "commands"):
        while remaining[0].startswith("-"):
            remaining = remaining[2 if remaining[0] == "--without" else 1 :]
        name, *remaining = remaining
        assert name in command.commands, f"there is no command '{path} {name}'"
        command, path = command.commands[name], f"{path} {name}"
    command.make_context(path, [one for one in remaining if one != "--help"])


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_every_command_in_a_page_exists_and_takes_its_options(page: Path) -> None:
    for arguments in commands(page):
        parse(arguments)


@pytest.mark.parametrize("line", ["gnerate", "generate --second 5", "bench generate --preset", "plugins show model"])
def test_a_command_that_does_not_exist_or_lacks_something_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no command|no such option|requires an argument|missing parameter"):
        parse(line.split())


@pytest.mark.parametrize("page", site_pages(), ids=name_of)
def test_what_comes_from_the_code_is_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert write.written(text) == text, "If this is meant: python docs/site/write.py"


def test_a_part_is_written_anew_and_one_that_nothing_writes_is_refused() -> None:
    stale = "a\n<!-- begin hook inferix_solvers -->\nold\n<!-- end -->\nb"
    fresh = write.written(stale)
    assert "def inferix_solvers()" in fresh
    assert "old" not in fresh
    assert write.written(fresh) == fresh
    with pytest.raises(LookupError, match="Nothing writes 'weather'"):
        write.written("<!-- begin weather -->\n<!-- end -->")
    with pytest.raises(LookupError, match="'NoSuch' is not in contract"):
        write.written("<!-- begin contract NoSuch -->\n<!-- end -->")


def test_the_code_of_the_first_plugin_makes_of_the_skeleton_what_the_tutorial_says(tmp_path: Path) -> None:
    assert run(["plugins", "new", "inferix-landmarks", "--kind", "policy", "--folder", str(tmp_path)]) == 0
    project = tmp_path / "inferix-landmarks"
    config, policy, suites, own = blocks(DOCS / "tutorials" / "first-plugin.md", "python")
    package = project / "src" / "inferix_landmarks"
    head, _, _ = (package / "config.py").read_text().partition("class ")
    (package / "config.py").write_text(head + config)
    (package / "policy.py").write_text(policy.replace("inferix_example", "inferix_landmarks"))
    imports = (
        "from inferix_core.contracts import KVPolicy",
        "from inferix_core.plan import Entry, Level",
        "from inferix_core.testing.suites import KVPolicySuite, PluginSuite",
        "from inferix_landmarks.config import LandmarksConfig",
        "from inferix_landmarks.policy import LandmarksPolicy",
    )
    tests = project / "tests" / "test_conformance.py"
    tests.write_text("\n".join([*imports, suites, own]))
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not TestPlugin", str(tests)]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page_with_the_same_headings(kind: str) -> None:
    page = (DOCS / "kinds" / f"{kind}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", re.sub(BLOCK, "", page), re.MULTILINE)
    assert headings == HEADINGS
    for heading, text in zip(headings, re.split(r"^## .+$", page, flags=re.MULTILINE)[1:], strict=True):
        assert len(text.split()) >= 10, f"'{heading}' says next to nothing"


@pytest.mark.parametrize("page", links.pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [f"{link.target}: {fault}" for link in links.links(page) if (fault := link.fault())] == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = DOCS / "index.md"
    for target in ("nowhere.md", "kv.md#nowhere", "#nowhere", "/kv.md", "../../elsewhere.md"):
        assert links.Link(page, target).fault(), target
    for target in ("kv.md", "kv.md#stores-where-pages-lie", "images/demo.png", "https://example.org/nowhere"):
        assert not links.Link(page, target).fault(), target
    page = tmp_path / "page.md"
    page.write_text("[a](b.md) ![c](d.png) `[no](e.md)`\n```\n[no](f.md)\n```\n[![g](h.png)](i.md)\n")
    assert {link.target for link in links.links(page)} == {"b.md", "d.png", "h.png", "i.md"}


def test_the_navigation_of_the_site_holds_every_page_once() -> None:
    settings = (DOCS / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"(\S+\.md)$", settings.partition("\nnav:\n")[2], re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in site_pages())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_in_a_page_can_be_read(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, name_of(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for code in blocks(page, "toml"):
        tomllib.loads(code)


@pytest.mark.parametrize("page", CONFIGURED, ids=name_of)
def test_configurations_in_a_page_are_accepted(page: Path) -> None:
    catalog = Catalog.discover()
    for code in blocks(page, "toml"):
        table = tomllib.loads(code)
        assert set(table) <= set(RunConfig.model_fields)
        resolve(table, catalog)
