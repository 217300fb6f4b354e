"""One door to every check: `nox -l` lists the sessions. All of them share one environment with torch."""

import hashlib
import os
import sys
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "types"]

ROOT = Path(__file__).parent
PACKAGES = [
    "inferix-core",
    "inferix-kvstore",
    "inferix-parallel",
    "inferix-wan",
    "inferix-magi",
    "inferix-plugins/inferix-attention",
    "inferix-plugins/inferix-stream",
    "inferix-plugins/inferix-profile",
    "inferix-plugins/inferix-quant",
    "inferix-plugins/inferix-tinyworld",
]
EXTRAS = {  # what the tests of optional parts need
    "inferix-core": "[bench,gym]",
    "inferix-wan": "[text]",
    "inferix-plugins/inferix-tinyworld": "[train]",
}
TOOLS = ["hatchling", "editables", "pytest", "pytest-timeout", "hypothesis", "ruff", "mypy", "nox"]
QUIET_OPENMP = {"GOMP_SPINCOUNT": "0"}  # spinning threads make a busy machine tens of times slower
ONE_THREAD = {**QUIET_OPENMP, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class Environment:
    """The one environment, under .nox: torch is too large for one copy in each session."""

    def __init__(self, session: nox.Session) -> None:
        self._session = session
        self._folder = ROOT / ".nox" / "inferix"
        self._programs = self._folder / ("Scripts" if os.name == "nt" else "bin")
        self._prepare()

    def run(self, program: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        """Runs a program of the environment; the session fails where it does."""
        self._session.run(str(self._programs / program), *arguments, env=env, external=True)

    def _prepare(self) -> None:
        """Installs all packages in place, unless nothing that says what to install has changed since."""
        sources = [ROOT / "constraints.txt", Path(__file__), *(ROOT / name / "pyproject.toml" for name in PACKAGES)]
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
        stamp = self._folder / "inferix-installed"
        if stamp.exists() and stamp.read_text() == digest:
            return
        if not self._programs.exists():
            self._session.run(sys.executable, "-m", "venv", str(self._folder), external=True)
        editables = [argument for name in PACKAGES for argument in ("-e", f"{ROOT / name}{EXTRAS.get(name, '')}")]
        self._install(*TOOLS)
        self._install("--no-build-isolation", *editables)
        stamp.write_text(digest)

    def _install(self, *arguments: str) -> None:
        constraints = ("--constraint", str(ROOT / "constraints.txt"))
        self.run("python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *constraints, *arguments)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Makes a video with the embedded world and says where it lies. Arguments go to `inferix generate`."""
    arguments = session.posargs or ["a red ball bounces at sunset", "--seconds", "10", "-o", "demo.mp4"]
    Environment(session).run("inferix", "generate", *arguments, "--contact-sheet", env=QUIET_OPENMP)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Runs all tests. Arguments go to pytest."""
    Environment(session).run("python", "-m", "pytest", *session.posargs, env=ONE_THREAD)


@nox.session(venv_backend="none")
def subsets(session: nox.Session) -> None:
    """Builds a wheel of every package into dist/ and runs what each subset of them can do. Arguments go to pytest."""
    checks = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests" / "subsets").glob("check_*.py"))]
    Environment(session).run("python", "-m", "pytest", *(session.posargs or checks), env=ONE_THREAD)


@nox.session(venv_backend="none")
def golden(session: nox.Session) -> None:
    """Compares our classes with recorded numbers. Arguments are folders of the golden formats."""
    environment = Environment(session)
    for folder in session.posargs or ["tests/golden/wan", "tests/golden/magi"]:
        environment.run("python", "tests/golden/check.py", folder, env=ONE_THREAD)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style, formatting, imports, and a report on the length of files."""
    environment = Environment(session)
    environment.run("ruff", "check", ".")
    environment.run("ruff", "format", "--check", ".")
    environment.run("python", "tests/file_lengths.py")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Strict static types on our own code."""
    Environment(session).run("mypy")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measures the engine's own cost. Arguments go to `inferix bench`."""
    Environment(session).run("inferix", "bench", *(session.posargs or ["engine"]), env=QUIET_OPENMP)


@nox.session(venv_backend="none")
def measure(session: nox.Session) -> None:
    """Measures how right the embedded world is (long). Arguments go to `inferix_tinyworld.measure`."""
    Environment(session).run("python", "-m", "inferix_tinyworld.measure", *session.posargs, env=QUIET_OPENMP)
