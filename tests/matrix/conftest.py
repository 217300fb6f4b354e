"""Wheels of all packages, and an environment of its own where some of them are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from place import EXAMPLE, ROOT, Place, Wheels, packages


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """A wheel of every package, in `dist/`, and of the example elsewhere."""
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    for old in dist.glob("inferix*.whl"):
        old.unlink()
    wheels = Wheels()
    for project in packages():
        wheels.add(project, into=dist)
    wheels.add(EXAMPLE, into=tmp_path_factory.mktemp("example"))
    return wheels


@pytest.fixture(scope="session")
def place(wheels: Wheels) -> Place:
    """The environment; a test says what it holds."""
    return Place(ROOT / ".nox" / "matrix", wheels)
