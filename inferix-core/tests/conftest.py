"""Fixtures: plugins that are installed for one test, as folders with metadata on the path."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import inferix_core
import pytest
from inferix_core.cli.application import run

Install = Callable[..., Path]
Output = tuple[int, str, str]

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
"""For the few tests that load torch among those that run without it (`nox -s light`)."""

HEADER = """\
from inferix_core.hookspecs import hookimpl
from inferix_core.specs import ComponentConfig, ModelSpec, Spec, StreamerSpec
from pydantic import Field
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of packages, first on the path; the core is installed in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("INFERIX_PLUGINS", raising=False)
    monkeypatch.delenv("INFERIX_DISABLE_PLUGINS", raising=False)
    before = set(sys.modules)
    write_metadata(folder, "inferix-core", inferix_core.__version__, entry_points={"core": "inferix_core.plugin"})
    yield folder
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(folder) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """Installs a distribution with one plugin module."""

    def installed(
        distribution: str,
        source: str = "",
        *,
        entry_point: str = "",
        target: str = "",
        version: str = "1.0",
        requires: tuple[str, ...] = (),
    ) -> Path:
        module = f"plugin_{distribution.replace('-', '_')}"
        path = site / f"{module}.py"
        path.write_text(HEADER + textwrap.dedent(source), encoding="utf-8")
        write_metadata(
            site,
            distribution,
            version,
            entry_points={entry_point or distribution: target or module},
            requires=requires,
        )
        return path

    return installed


def write_metadata(
    folder: Path, distribution: str, version: str, *, entry_points: dict[str, str], requires: tuple[str, ...] = ()
) -> None:
    """The `.dist-info` folder that an installer would leave."""
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    points = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
    (info / "entry_points.txt").write_text(f"[inferix]\n{points}", encoding="utf-8")


@pytest.fixture
def inferix(site: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Output]:
    """Runs one command line in this process: exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str) -> Output:
        code = run(arguments)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return invoke
