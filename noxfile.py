"""One door to every check. `nox -l` lists the sessions; all of them share one environment with torch."""

import hashlib
import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types"]
nox.needs_version = ">=2024.4.15"

ROOT = Path(__file__).parent
PACKAGES = [
    "inferix-core",
    "inferix-kvstore",
    "inferix-wan",
    "inferix-magi",
    "inferix-plugins/inferix-stream",
    "inferix-plugins/inferix-tinyworld",
]
TOOLS = ["hatchling", "editables", "pytest", "pytest-timeout", "hypothesis", "ruff", "mypy"]
ENVIRONMENT = {
    "GOMP_SPINCOUNT": "0",  # OpenMP's spinning threads make a busy machine tens of times slower
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


def shared(function):  # type: ignore[no-untyped-def]
    """A session in the one shared environment."""
    return nox.session(reuse_venv=True, venv_location=".nox/inferix")(function)


def prepare(session: nox.Session) -> None:
    """Installs all packages in place, unless nothing that says what to install has changed since."""
    os.environ["PIP_CONSTRAINT"] = str(ROOT / "constraints.txt")
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    sources = [ROOT / "constraints.txt", ROOT / "noxfile.py", *(ROOT / name / "pyproject.toml" for name in PACKAGES)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    stamp = Path(session.virtualenv.location) / "inferix-installed"
    if stamp.exists() and stamp.read_text() == digest:
        return
    session.install(*TOOLS)
    editables = [argument for name in PACKAGES for argument in ("-e", name)]
    session.install("--no-build-isolation", *editables)
    stamp.write_text(digest)


@shared
def demo(session: nox.Session) -> None:
    """Makes a video with the embedded world and says where it lies. Arguments go to `inferix generate`."""
    prepare(session)
    arguments = session.posargs or ["a red ball bounces at sunset", "--seconds", "10", "-o", "demo.mp4"]
    session.run("inferix", "generate", *arguments, "--contact-sheet", env={"GOMP_SPINCOUNT": "0"})


@shared
def tests(session: nox.Session) -> None:
    """Runs all tests. Arguments go to pytest."""
    prepare(session)
    session.run("pytest", *session.posargs, env=ENVIRONMENT)


@shared
def golden(session: nox.Session) -> None:
    """Runs the golden checker over folders of the golden formats (default: those of the tests)."""
    prepare(session)
    for folder in session.posargs or ["tests/golden/wan", "tests/golden/magi"]:
        session.run("python", "tests/golden/check.py", folder, env=ENVIRONMENT)


@shared
def lint(session: nox.Session) -> None:
    """Style, formatting and imports."""
    prepare(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@shared
def types(session: nox.Session) -> None:
    """Strict static types on our own code."""
    prepare(session)
    session.run("mypy")


@shared
def bench(session: nox.Session) -> None:
    """Measures the engine's own cost and the embedded world's speed."""
    prepare(session)
    session.run("inferix", "bench", *(session.posargs or ["engine"]), env={"GOMP_SPINCOUNT": "0"})


@shared
def measure(session: nox.Session) -> None:
    """Measures how right the embedded world is (about an hour on two cores)."""
    prepare(session)
    session.run("python", "-m", "inferix_tinyworld.measure", *session.posargs, env=ENVIRONMENT)
