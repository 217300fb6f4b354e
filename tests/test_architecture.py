"""The directions in which packages may depend on one another, and which modules stay light."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path
from typing import Any

import inferix_core
import pytest
from inferix_core import hookspecs
from inferix_core.catalog import Catalog
from inferix_core.configuration import RunConfig
from inferix_core.specs import Kind
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

ROOT = Path(__file__).parent.parent
PACKAGES = {
    path.parent.name: path.parent
    for path in [*ROOT.glob("inferix-*/pyproject.toml"), *ROOT.glob("inferix-plugins/*/pyproject.toml")]
}
PLUGINS = sorted(set(PACKAGES) - {"inferix-core"})
EXAMPLE = ROOT / "docs" / "examples" / "inferix-example"
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


PUBLIC_PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
PUBLIC_MODULES = tuple(re.findall(r"^\| `(inferix_core\.[\w.]+)` \|", PUBLIC_PAGE, re.MULTILINE))
BUILDS_ENGINES = {"dit_quality.py"}  # measures a network in training, for which there is no configuration yet


def project_of(name: str) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((PACKAGES[name] / "pyproject.toml").read_text())["project"]
    return project


def required(name: str, *, extras: bool = False) -> set[str]:
    """The distributions that a package declares to need, and those of its extras where asked."""
    project = project_of(name)
    lines = [*project["dependencies"]]
    if extras:
        lines += [line for extra in project.get("optional-dependencies", {}).values() for line in extra]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported_modules(source: Path) -> Iterator[str]:
    """Every module that a source imports by its full name, anywhere in it."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def imported_packages(package: Path) -> set[str]:
    """Distributions of ours that the package's sources import, anywhere in them."""
    found = {
        module.split(".")[0].replace("_", "-")
        for source in (package / "src").rglob("*.py")
        for module in imported_modules(source)
        if module.startswith("inferix_")
    }
    return found - {package.name}


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_package_imports_only_the_siblings_it_declares(name: str) -> None:
    assert imported_packages(PACKAGES[name]) <= required(name)


@cache
def all_distributions() -> Mapping[str, list[str]]:
    """The distributions that bring each module; reading them takes a while."""
    return packages_distributions()


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_package_imports_only_the_third_parties_it_declares(name: str) -> None:
    distributions, declared = all_distributions(), required(name, extras=True) | {name}
    for source in (PACKAGES[name] / "src").rglob("*.py"):
        for module in {module.split(".")[0] for module in imported_modules(source)} - sys.stdlib_module_names:
            brought_by = {canonicalize_name(one) for one in distributions.get(module, [module])}
            assert brought_by & declared, f"{source.name} imports {module}"


def test_packages_depend_on_one_another_in_one_direction_and_core_on_none() -> None:
    graph = {name: {one for one in required(name, extras=True) if one.startswith("inferix")} for name in PACKAGES}
    first, *_ = TopologicalSorter(graph).static_order()  # raises where they go round in a circle
    assert first == "inferix-core"
    assert graph["inferix-core"] == set()


def test_the_metapackage_brings_what_most_people_want_and_has_no_code() -> None:
    assert required("inferix") == {f"inferix-{name}" for name in ("core", "kvstore", "stream", "tinyworld", "wan")}
    assert not (PACKAGES["inferix"] / "src").exists()


@pytest.mark.parametrize(
    "folder", [*(PACKAGES[name] / "src" for name in PLUGINS), EXAMPLE / "src"], ids=lambda folder: folder.parent.name
)
def test_a_plugin_imports_nothing_of_the_core_that_is_not_public(folder: Path) -> None:
    for source in folder.rglob("*.py"):
        for module in imported_modules(source) if source.name not in BUILDS_ENGINES else ():
            if module.startswith("inferix_core."):
                is_public = module in PUBLIC_MODULES or module.startswith(tuple(f"{one}." for one in PUBLIC_MODULES))
                assert is_public, f"{source.name} imports {module}, which docs/plugins.md does not name"


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
    package, project = PACKAGES[name], project_of(name)
    assert {"README.md", "LICENSE", "CHANGELOG.md"} <= {path.name for path in package.iterdir()}
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert project["keywords"]
    assert project["classifiers"]
    assert 20 <= len(project["description"]) <= 160


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_package_bounds_what_it_needs_of_its_siblings(name: str) -> None:
    for line in project_of(name)["dependencies"]:
        requirement = Requirement(line)
        if requirement.name.startswith("inferix"):
            assert {one.operator for one in requirement.specifier} == {">=", "<"}, line


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_the_page_of_a_published_package_has_no_links_into_the_repository(name: str) -> None:
    page = (PACKAGES[name] / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https?://|#)", page) == []


def test_the_core_says_its_version_once() -> None:
    assert inferix_core.__version__ == project_of("inferix-core")["version"]


def test_no_source_is_too_long() -> None:
    done = subprocess.run([sys.executable, ROOT / "tests" / "file_lengths.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("inferix_")])
def test_every_hook_is_documented(hook: str) -> None:
    assert getattr(hookspecs, hook).__doc__
    assert f"| `{hook}` |" in PUBLIC_PAGE


def configurations(found: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A configuration class and those of the tables in it."""
    yield found
    for field in found.model_fields.values():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from configurations(part)


def test_every_key_of_a_configuration_is_described() -> None:
    catalog = Catalog.discover()
    classes = {RunConfig, *(one.spec.config for kind in Kind for one in catalog.components(kind))}
    bare = [
        f"{config.__name__}.{name}"
        for found in classes
        for config in configurations(found)
        for name, field in config.model_fields.items()
        if not field.description
    ]
    assert len(classes) > 10
    assert bare == []


def test_every_component_says_what_it_is() -> None:
    components = [one for kind in Kind for one in Catalog.discover().components(kind)]
    assert [one.qualified_name for one in components if len(one.spec.summary) < 10] == []
