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
    "inferix-plugins/inferix-serve",
    "inferix-plugins/inferix-tinyworld",
]
EXTRAS = {  # what the tests of optional parts need
    "inferix-core": "[bench,gym,media]",
    "inferix-magi": "[text]",
    "inferix-wan": "[text]",
    "inferix-plugins/inferix-serve": "[webrtc,test]",
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

    def run(self, program: str, *arguments: str, env: dict[str, str] | None = None, folder: str = ".") -> None:
        """Runs a program of the environment in a folder of the repository; the session fails where it does."""
        with self._session.chdir(ROOT / folder):
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


# The compatibility matrix. All but `light` and `docs` share one torch: wheels come and go beside it.
# Of these CI runs `subsets`, `example`, `build` and `docs`; the others are long and run by hand, all by `matrix`.


def _check(session: nox.Session, *names: str) -> None:
    """Runs checks of the matrix, `tests/matrix/check_<name>.py`; arguments go to pytest instead."""
    files = [f"tests/matrix/check_{name}.py" for name in names]
    Environment(session).run("python", "-m", "pytest", *(session.posargs or files), env=ONE_THREAD)


@nox.session(venv_backend="none")
def subsets(session: nox.Session) -> None:
    """What wheels of some of our packages can do beside one another, and beside broken plugins."""
    _check(session, "subsets", "broken_wheels")


@nox.session(venv_backend="none")
def example(session: nox.Session) -> None:
    """The living example and what `inferix plugins new` writes: built, installed, found, tested, run."""
    _check(session, "example", "skeletons")


@nox.session(venv_backend="none")
def oldest_core(session: nox.Session) -> None:
    """Today's packages beside the kept wheels of earlier cores."""
    _check(session, "old_cores")


@nox.session(venv_backend="none")
def build(session: nox.Session) -> None:
    """Source distributions and wheels of every package into dist/, the same from both."""
    _check(session, "sdists")


@nox.session(venv_backend="none")
def lowest(session: nox.Session) -> None:
    """The tests of the core and of light packages with the lowest versions of pure Python libraries they accept."""
    _check(session, "lowest")


@nox.session(venv_backend="none")
def light(session: nox.Session) -> None:
    """What needs no torch, without torch, on every Python from 3.11 to 3.13 that is on the machine."""
    _check(session, "light")


@nox.session(reuse_venv=True)
def docs(session: nox.Session) -> None:
    """Builds the site into build/docs without torch, and follows its links. `--update` writes generated parts first."""
    if "--update" in session.posargs:
        Environment(session).run("python", "docs/site/write.py")
    session.run("python", "docs/site/links.py")
    session.install("--requirement", "docs/site/requirements.txt")
    build = ("mkdocs", "build", "--strict", "--config-file", "docs/site/mkdocs.yml")
    session.run(*build, env={"NO_MKDOCS_2_WARNING": "1"})
    session.log("The site is build/docs/index.html.")


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """Runs every check of compatibility and writes docs/compatibility.md from what came of it (long)."""
    environment = Environment(session)
    reports = ROOT / ".nox" / "reports"
    for name in ("tests", "subsets", "example", "oldest_core", "build", "lowest", "light"):
        report = f"--junitxml={reports / name}.xml"
        with_report = {**os.environ, "PYTEST_ADDOPTS": report}
        session.run(
            sys.executable, "-m", "nox", "-s", name, env=with_report, external=True, success_codes=list(range(256))
        )
    environment.run("python", "tests/matrix/compatibility.py", str(reports), "docs/compatibility.md")


@nox.session(venv_backend="none")
def release(session: nox.Session) -> None:
    """Builds a package into dist/, if its version, changelog and tag agree. Arguments are folders of packages."""
    environment = Environment(session)
    if not session.posargs:
        session.error("Say what to release, e.g. nox -s release -- inferix-core")
    environment.run("python", "tests/matrix/releasing.py", *session.posargs)
    for folder in session.posargs:
        environment.run("python", "-m", "hatchling", "build", "-d", str(ROOT / "dist"), folder=folder)


@nox.session(venv_backend="none")
def e2e(session: nox.Session) -> None:
    """Runs real servers with a real browser and media servers, and says which of them are missing.

    Pictures of the page go to tests/e2e/artifacts/. Arguments go to pytest.
    """
    environment = Environment(session)
    environment.run("python", "tests/e2e/needs.py")
    checks = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests" / "e2e").glob("check_*.py"))]
    environment.run("python", "-m", "pytest", "-s", *(session.posargs or checks), env=QUIET_OPENMP)


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
def dist(session: nox.Session) -> None:
    """All tests of several ranks, also the long ones that a plain run leaves out. Arguments go to pytest."""
    arguments = session.posargs or ["tests/distributed", "-m", "long or not long"]
    Environment(session).run("python", "-m", "pytest", *arguments, env=ONE_THREAD)


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
