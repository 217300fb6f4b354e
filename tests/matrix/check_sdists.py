"""The source distribution of every package builds the same wheel as its folder, and it says what is in it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from place import ROOT, Wheels, packages


@pytest.mark.parametrize("project", packages(), ids=lambda path: path.name)
def test_a_wheel_of_the_source_distribution_holds_the_same(wheels: Wheels, project: Path, tmp_path: Path) -> None:
    archives = f"{project.name.replace('-', '_')}-*.tar.gz"
    for old in (ROOT / "dist").glob(archives):  # of another version
        old.unlink()
    _build("sdist", project, ROOT / "dist")
    (archive,) = (ROOT / "dist").glob(archives)
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= {path.name for path in unpacked.iterdir()}
    _build("wheel", unpacked, tmp_path / "dist")
    (again,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheels[project.name]) as direct, zipfile.ZipFile(again) as indirect:
        assert {one.filename: one.CRC for one in direct.infolist()} == {
            one.filename: one.CRC for one in indirect.infolist()
        }


def _build(target: str, project: Path, into: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
