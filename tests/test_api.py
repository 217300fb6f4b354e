"""The public API of each package is what `tests/api/` says, so that a change of it shows in review.

For the core these are the modules that `docs/plugins.md` names. For another package: its components with what users
may set, what its own `__init__` offers, and what a sibling imports of it. `pytest tests/test_api.py --update-api`
writes the files anew.
"""

import ast
import dataclasses
import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inferix_core.catalog import Catalog
from inferix_core.specs import Kind
from pydantic import BaseModel

ROOT = Path(__file__).parent.parent
API = Path(__file__).parent / "api"
PACKAGES = {
    path.parent.name: path.parent
    for path in [*ROOT.glob("inferix-*/pyproject.toml"), *ROOT.glob("inferix-plugins/inferix-*/pyproject.toml")]
}
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
PUBLIC_MODULES = re.findall(r"^\| `(inferix_core[\w.]*)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_public_api_of_a_package_is_the_recorded_one(package: str, pytestconfig: pytest.Config) -> None:
    found = "\n".join(api_of(package)) + "\n"
    path = API / f"{package}.txt"
    if pytestconfig.getoption("--update-api"):
        API.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    recorded = path.read_text(encoding="utf-8") if path.exists() else ""
    change = "\n".join(difflib.unified_diff(recorded.splitlines(), found.splitlines(), "recorded", "found", n=0))
    assert not change, f"{change}\nIf this is meant: pytest tests/test_api.py --update-api, and say it in CHANGELOG.md."


def test_a_changed_signature_is_a_changed_api() -> None:
    def one(a: int) -> int:
        return a

    def other(a: int, *, b: int = 0) -> int:
        return a + b

    assert list(described("f", one)) != list(described("f", other))


def api_of(package: str) -> Iterator[str]:
    if package == "inferix-core":
        for name in PUBLIC_MODULES:
            yield from module_api(name)
        return
    yield from components(package)
    offered = importlib.import_module(package.replace("-", "_"))
    for name in sorted(getattr(offered, "__all__", ())):
        yield from described(f"{offered.__name__}.{name}", getattr(offered, name))
    for module, name in sorted(imported_by_siblings(package)):
        yield from described(f"{module}.{name}", getattr(importlib.import_module(module), name))


def module_api(name: str) -> Iterator[str]:
    """The names that a module offers: those of its `__all__`, or those that it defines; then its modules'."""
    module = importlib.import_module(name)
    offered = getattr(module, "__all__", None)
    names = vars(module) if offered is None else offered
    for attribute in sorted(one for one in names if not one.startswith("__")):
        value = getattr(module, attribute)
        is_own = getattr(value, "__module__", name) == name and not inspect.ismodule(value)
        if offered is not None or (is_own and not attribute.startswith("_")):
            yield from described(f"{name}.{attribute}", value)
    if offered is None and hasattr(module, "__path__"):
        for inner in sorted(info.name for info in pkgutil.iter_modules(module.__path__)):
            yield from module_api(f"{name}.{inner}")


def components(package: str) -> Iterator[str]:
    for kind in Kind:
        for component in Catalog.discover(only=[package]).components(kind):
            if component.distribution == package:
                provides = f" provides {', '.join(sorted(component.spec.provides))}" if component.spec.provides else ""
                yield f"{kind.slug} {component.name}{provides}"
                yield from fields_of(component.spec.config)


def fields_of(config: type[BaseModel]) -> Iterator[str]:
    for name, field in config.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        yield f"    {name}: {inspect.formatannotation(field.annotation)} = {default}"


def imported_by_siblings(package: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    prefix = package.replace("-", "_")
    for sibling, folder in PACKAGES.items():
        for source in (folder / "src").rglob("*.py") if sibling != package else ():
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == prefix:
                    found |= {(str(node.module), alias.name) for alias in node.names}
    return found


def described(name: str, value: Any) -> Iterator[str]:
    """A line for a name, and for a class one for each of its public members."""
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})"
        if issubclass(value, BaseModel):
            yield from fields_of(value)
        else:
            yield from members(value)
    elif callable(value) and hasattr(value, "__name__"):
        yield f"def {name}{signature(value)}"
    elif isinstance(value, int | str | float | tuple | frozenset):
        yield f"{name} = {value!r}"
    else:
        yield f"{name}: {type(value).__name__}"


def members(value: type) -> Iterator[str]:
    fields = {field.name: field for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else {}
    for name, field in fields.items():
        yield f"    {name}: {field.type}"
    for name, annotation in sorted(inspect.get_annotations(value).items()):
        if name not in fields and not name.startswith("_"):
            yield f"    {name}: {annotation}"
    if not fields and "__init__" in vars(value) and not getattr(value, "_is_protocol", False):
        yield f"    __init__{signature(value.__init__)}"
    for name, member in sorted(vars(value).items()):
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith("_") or name in fields:
            continue
        if isinstance(member, property):
            yield f"    {name} (property)"
        elif inspect.isfunction(function):
            yield f"    {name}{signature(function)}"


def signature(value: Any) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    except (TypeError, ValueError):
        return "(…)"
