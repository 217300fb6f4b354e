"""An environment that holds what a test wants of our wheels, beside the third parties of the environment it runs in.

Torch is too large to be installed twice. So the third parties are not: a folder of links to them, without anything of
ours, is put on the path of a second environment, and there our wheels come and go in seconds (`--no-deps`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "inferix-example"
QUIET = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0", "COLUMNS": "250", "PYTHONNOUSERSITE": "1"}
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def packages() -> list[Path]:
    """The folder of every package of ours."""
    return sorted(
        path.parent for path in [*ROOT.glob("inferix-*/pyproject.toml"), *ROOT.glob("inferix-plugins/*/pyproject.toml")]
    )


class Wheels:
    """Wheels of projects by distribution, each built when it is first asked for."""

    def __init__(self) -> None:
        self._projects: dict[str, tuple[Path, Path]] = {}
        self._built: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._built:
            self._built[name] = _build(*self._projects[name])
        return self._built[name]

    def add(self, project: Path, *, into: Path) -> None:
        """Makes a project known, whose wheel will lie in the folder `into`."""
        name: str = tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"]
        self._projects[name] = (project, into)


def _build(project: Path, into: Path) -> Path:
    """With hatchling in this environment, without an isolated one."""
    before = {path: path.stat().st_mtime_ns for path in into.glob("*.whl")}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"No wheel of {project}:\n{done.stdout}\n{done.stderr}"
    changed = [path for path in into.glob("*.whl") if before.get(path) != path.stat().st_mtime_ns]
    assert len(changed) == 1, f"{project} made {changed}"
    return changed[0]


class Place:
    """The environment. It is made anew for each run of the checks."""

    def __init__(self, folder: Path, wheels: Wheels) -> None:
        self._wheels = wheels
        self._held: set[str] = set()
        self._third_parties: list[str] = []
        venv.EnvBuilder(clear=True, with_pip=False, symlinks=os.name != "nt").create(folder)
        self._programs = folder / ("Scripts" if os.name == "nt" else "bin")
        found = self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        links = folder / "third-parties"
        _link_third_parties(links)
        # A path from a .pth file is searched for packages, but .pth files in it are not read.
        (Path(found.stdout.strip()) / "third-parties.pth").write_text(f"{links}\n")

    def holds(self, *distributions: str) -> None:
        """Installs these of our wheels and removes all others."""
        wanted = set(distributions)
        if gone := sorted(self._held - wanted):
            self._pip("uninstall", "--yes", "--quiet", *gone)
        if new := sorted(wanted - self._held):
            self._install(*(self._wheels[name] for name in new))
        self._held = wanted

    def holds_core(self, wheel: Path) -> None:
        """Installs another core in the place of ours, until `holds` is called again."""
        self._install(wheel)
        self._held.discard("inferix-core")

    def holds_third_parties(self, *requirements: str) -> None:
        """Installs these, with what they require, in front of those that it shares; `drops_third_parties` undoes it."""
        before = self._distributions()
        self._pip("install", "--quiet", "--ignore-installed", *requirements)
        self._third_parties = sorted(self._distributions() - before)

    def drops_third_parties(self) -> None:
        """Goes back to the shared ones."""
        if self._third_parties:
            self._pip("uninstall", "--yes", "--quiet", *self._third_parties)
        self._third_parties = []

    def unmet_requirements(self) -> str:
        """What `pip check` says of distributions of ours; empty if all that they declare is there."""
        checked = self._pip("check", check=False)
        return "\n".join(line for line in checked.stdout.splitlines() if line.startswith("inferix"))

    def run(
        self, program: str, *arguments: str, cwd: Path | None = None, code: int = 0, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment, which must end with `code` and without a traceback."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("INFERIX_", "PYTHON"))}
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            capture_output=True,
            text=True,
            cwd=cwd or self._programs,
            env={**environment, **QUIET},
            timeout=timeout,
            check=False,
        )
        assert done.returncode == code, f"{program} {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def _distributions(self) -> set[str]:
        """What lies in the environment itself, by name."""
        folder = self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        return {path.name.split("-")[0] for path in Path(folder).glob("*.dist-info")}

    def _install(self, *wheels: Path) -> None:
        self._pip("install", "--no-deps", "--no-index", "--quiet", "--force-reinstall", *map(str, wheels))

    def _pip(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [*_PIP, "--python", str(self._programs / "python"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done


def _link_third_parties(folder: Path) -> None:
    """Links to everything that is installed beside this interpreter, but nothing of ours and no .pth file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in map(Path, sys.path):
        if path.name not in ("site-packages", "dist-packages") or not path.is_dir():
            continue
        for entry in path.iterdir():
            is_ours = entry.name.lower().startswith("inferix")
            link = folder / entry.name
            if is_ours or entry.suffix == ".pth" or entry.name == "__pycache__" or link.is_symlink():
                continue
            link.symlink_to(entry, target_is_directory=entry.is_dir())
