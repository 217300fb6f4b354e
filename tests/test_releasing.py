"""A release is refused where tag, version and changelog disagree; no package pins a sibling."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECTS = sorted([*ROOT.glob("inferix-*/pyproject.toml"), *ROOT.glob("inferix-plugins/*/pyproject.toml")])

sys.path.insert(0, str(ROOT / "tests" / "matrix"))

from releasing import obstacles  # noqa: E402 (the checks of the matrix are scripts)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package that may be released."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "acme"\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 1.2.0 (2026-02-03)\n\n- Waves.\n\n## 1.1.0 (2026-01-01)\n"
    )
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    git(tmp_path, "tag", "acme-v1.2.0")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Acme", "-c", "user.email=acme@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A release")


def change(folder: Path, name: str, old: str, new: str) -> None:
    """Another text in a file, committed and tagged as before."""
    path = folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    commit(folder)
    git(folder, "tag", "--force", "acme-v1.2.0")


def test_what_agrees_may_be_released(project: Path) -> None:
    assert list(obstacles(project)) == []


def test_a_version_that_the_changelog_does_not_know_is_refused(project: Path) -> None:
    change(project, "CHANGELOG.md", "1.2.0", "1.3.0")
    assert list(obstacles(project)) == ["acme: its version is 1.2.0, its changelog begins with 1.3.0."]


@pytest.mark.parametrize("when", ["unreleased", "3 February 2026"])
def test_a_changelog_without_a_date_is_refused(project: Path, when: str) -> None:
    change(project, "CHANGELOG.md", "2026-02-03", when)
    (said,) = obstacles(project)
    assert f"'({when})'" in said


def test_a_changelog_without_a_release_is_refused(project: Path) -> None:
    change(project, "CHANGELOG.md", "## 1.2.0 (2026-02-03)\n\n- Waves.\n\n## 1.1.0 (2026-01-01)\n", "")
    (said,) = obstacles(project)
    assert "no heading '## 1.2.0 (<date>)'" in said


def test_a_commit_without_the_tag_is_refused(project: Path) -> None:
    git(project, "tag", "--delete", "acme-v1.2.0")
    assert list(obstacles(project)) == ["acme: this commit has no tag 'acme-v1.2.0'."]


def test_a_tag_of_another_version_is_refused(project: Path) -> None:
    git(project, "tag", "acme-v1.3.0")
    git(project, "tag", "--delete", "acme-v1.2.0")
    assert list(obstacles(project)) == ["acme: this commit has no tag 'acme-v1.2.0', but acme-v1.3.0."]


def test_changes_that_are_not_committed_are_refused(project: Path) -> None:
    (project / "more.py").write_text("")
    assert list(obstacles(project)) == ["acme: there are changes that are not committed: more.py."]


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_no_package_pins_a_sibling_and_each_range_has_both_ends(path: Path) -> None:
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    siblings = [
        one for one in map(Requirement, lines) if one.name.startswith("inferix-") and one.name != project["name"]
    ]
    for sibling in siblings:
        operators = {part.operator for part in sibling.specifier}
        assert operators == {">=", "<"}, f"{project['name']} requires {sibling}"


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_the_changelog_is_in_order_and_begins_with_the_version(path: Path) -> None:
    version = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"]
    text = (path.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    listed = [Version(found) for found in re.findall(r"^## (\S+)", text, re.MULTILINE)]
    assert listed[0] == Version(version)
    assert listed == sorted(listed, reverse=True)
