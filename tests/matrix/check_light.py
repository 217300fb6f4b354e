"""What discovers, describes and validates runs without torch, on every Python that the packages accept."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from place import ROOT, Wheels, packages

PYTHONS = ("3.11", "3.12", "3.13")
HEAVY = ("torch", "numpy")
LIGHT_TESTS = ("broken_plugins", "catalog", "command_line", "configuration", "full_policy", "plugin_commands", "relay")
METAPACKAGE = "inferix"
QUIETLY = ("-q", "-p", "no:cacheprovider", "-k", "not costs_little")  # that is for one Python to keep

Run = Callable[..., str]


def interpreter(version: str) -> Path | None:
    """A Python of that version: on the path, or one of pyenv's."""
    found = [Path(name) for name in (shutil.which(f"python{version}"),) if name]
    found += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for path in found:  # pyenv puts programs on the path that only say which versions there are
        if subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def light_requirements() -> list[str]:
    """What the core requires but for what computes, and what its tests need."""
    project = tomllib.loads((ROOT / "inferix-core" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["testing"], "pytest-timeout"]
    return [line for line in lines if Requirement(line).name not in HEAVY]


@pytest.fixture(scope="module", params=PYTHONS)
def run(request: pytest.FixtureRequest, wheels: Wheels) -> Run:
    """Runs a program of an environment without torch that holds all our wheels; its output."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"Python {request.param} is not on this machine")
    folder = ROOT / ".nox" / f"light-{request.param}"
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", *light_requirements()], check=True)
    subprocess.run([*pip, "--no-deps", "--no-index", *(wheels[path.name] for path in packages())], check=True)

    def started(program: str, *arguments: str, code: int = 0) -> str:
        command = [str(folder / "bin" / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    return started


def test_every_plugin_is_discovered(run: Run) -> None:
    code = (
        "import json; from inferix_core.catalog import Catalog; "
        "print(json.dumps({one.distribution: one.state.value for one in Catalog.discover().plugins}))"
    )
    found = json.loads(run("python", "-c", code))
    assert set(found) == {path.name for path in packages()} - {METAPACKAGE}
    assert set(found.values()) == {"ready"}


def test_all_that_is_installed_is_described(run: Run) -> None:
    definitions = json.loads(run("inferix", "schema"))["$defs"]
    assert {"model.inferix-wan:self-forcing", "kv-policy.inferix-kvstore:sink-window"} <= set(definitions)
    assert "num_sink_latents" in run("inferix", "plugins", "show", "kv-policy", "sink-window")
    assert "generate" in run("inferix", "--help")


def test_a_mistake_in_the_configuration_is_told(run: Run) -> None:
    arguments = ("generate", "a ball", "--set", "kv.policy.num_window_latent=3", "-o", "a.npy")
    said = " ".join(run("inferix", *arguments, code=2).split())
    assert "Did you mean 'num_window_latents'" in said


def test_the_tests_that_need_no_torch_pass(run: Run) -> None:
    files = [f"inferix-core/tests/test_{name}.py" for name in LIGHT_TESTS]
    assert " passed" in run("python", "-m", "pytest", *QUIETLY, *files)
