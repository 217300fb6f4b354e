"""Broken plugins as real wheels beside ours: each is told of, and the rest works. More are in inferix-core's tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from place import Place, Wheels

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"
dependencies = {requires}

[project.entry-points.inferix]
{name} = "{module}.plugin"

[tool.hatch.build.targets.wheel]
packages = ["src/{module}"]
"""
POLICY = """
from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec

@hookimpl
def inferix_kv_policies():
    yield Spec("{name}", "A policy.", "{implementation}")
"""
FULL = "inferix_core.defaults.full:FullPolicy"
BROKEN: dict[str, tuple[str, list[str], str, str]] = {
    "acme-raises": ("1 / 0", [], "broken", "ZeroDivisionError"),
    "acme-old": (POLICY.format(name="old", implementation=FULL), ["inferix-core<0.0.1"], "incompatible", "--upgrade"),
    "acme-lonely": (POLICY.format(name="lonely", implementation=FULL), ["inferix-nowhere"], "broken", "pip install"),
    "acme-lost": (POLICY.format(name="lost", implementation="acme_lost.gone:Policy"), [], "broken", "acme_lost.gone"),
    "acme-twin": (POLICY.format(name="full", implementation=FULL), [], "conflicting", "name one in full"),
}


@pytest.fixture(scope="module")
def broken(place: Place, wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The environment with the core, wan and every broken plugin."""
    for name, (source, requires, _, _) in BROKEN.items():
        project = tmp_path_factory.mktemp(name)
        module = name.replace("-", "_")
        package = project / "src" / module
        package.mkdir(parents=True)
        (project / "pyproject.toml").write_text(PYPROJECT.format(name=name, module=module, requires=requires))
        (package / "__init__.py").touch()
        (package / "plugin.py").write_text(source)
        wheels.add(project, into=project)
    place.holds("inferix-core", "inferix-wan", *BROKEN)
    return place


def test_each_broken_wheel_is_listed_with_its_state_and_what_to_do(broken: Place) -> None:
    rows = {row["distribution"]: row for row in json.loads(broken.run("inferix", "plugins", "list", "--json").stdout)}
    for name, (_, _, state, told) in BROKEN.items():
        assert (rows[name]["state"], told in rows[name]["reason"]) == (state, True), rows[name]
    assert rows["inferix-wan"]["state"] == "ready"


def test_beside_broken_wheels_a_world_is_made_by_what_is_whole(broken: Place, tmp_path: Path) -> None:
    options = ("--model", "self-forcing", "--preset", "tiny-random")
    broken.run("inferix", "generate", "a ball", *options, "--seconds", "0.5", "-o", "a.npy", cwd=tmp_path)
    assert (tmp_path / "a.npy").exists()


def test_a_name_that_two_wheels_claim_is_an_error_that_names_both(broken: Place, tmp_path: Path) -> None:
    options = ("--model", "self-forcing", "--preset", "tiny-random", "--set", "kv.policy.use=full", "-o", "a.npy")
    said = " ".join(broken.run("inferix", "generate", "a ball", *options, cwd=tmp_path, code=2).stderr.split())
    assert "'acme-twin:full' and 'inferix-core:full'" in said


def test_a_component_without_its_implementation_fails_alone_and_names_its_plugin(broken: Place, tmp_path: Path) -> None:
    options = ("--model", "self-forcing", "--preset", "tiny-random", "--set", "kv.policy.use=lost", "-o", "a.npy")
    said = " ".join(broken.run("inferix", "generate", "a ball", *options, cwd=tmp_path, code=1).stderr.split())
    assert "acme-lost:lost points to 'acme_lost.gone:Policy'" in said
    assert list(tmp_path.iterdir()) == []
