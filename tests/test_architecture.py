"""The directions in which packages may depend on one another, and which modules stay light."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    path.parent.name: path.parent
    for path in [*ROOT.glob("inferix-*/pyproject.toml"), *ROOT.glob("inferix-plugins/*/pyproject.toml")]
}
LIGHT_CORE = [
    "catalog",
    "configuration",
    "cli",
    "contracts",
    "plan",
    "signals",
    "specs",
    "hookspecs",
    "events",
    "relay",
]


def imported_packages(package: Path) -> set[str]:
    """Distributions of ours that the package's sources import, anywhere in them."""
    found: set[str] = set()
    for source in (package / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            found |= {name.split(".")[0].replace("_", "-") for name in names if name.startswith("inferix_")}
    return found - {package.name}


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_package_imports_only_the_siblings_it_declares(name: str) -> None:
    project = tomllib.loads((PACKAGES[name] / "pyproject.toml").read_text())["project"]
    declared = {requirement.split()[0].split(">")[0].split("=")[0] for requirement in project["dependencies"]}
    assert imported_packages(PACKAGES[name]) <= {d for d in declared if d.startswith("inferix-")}


def test_core_imports_no_plugin() -> None:
    assert imported_packages(PACKAGES["inferix-core"]) == set()


@pytest.mark.parametrize("module", [point.value for point in entry_points(group="inferix")])
def test_the_front_door_of_a_plugin_loads_no_tensor_library(module: str) -> None:
    assert loaded_heavy_modules(module) == ""


@pytest.mark.parametrize("module", LIGHT_CORE)
def test_what_discovers_describes_and_validates_loads_no_tensor_library(module: str) -> None:
    assert loaded_heavy_modules(f"inferix_core.{module}") == ""


def loaded_heavy_modules(module: str) -> str:
    code = f"import sys, {module}; print(*sorted({{'torch', 'av', 'safetensors'}} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_every_package_has_what_a_publisher_needs(name: str) -> None:
    package = PACKAGES[name]
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert {"README.md", "LICENSE", "CHANGELOG.md"} <= {path.name for path in package.iterdir()}
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "Apache-2.0"
