"""A closer look at a plugin than discovery takes, for `inferix plugins list`; still nothing of a component is imported.

Discovery must be quick, so it takes a plugin's word for where its components are implemented and what it requires.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import importlib_metadata
from packaging.requirements import InvalidRequirement, Requirement

from inferix_core.catalog.records import Component, PluginRecord, State
from inferix_core.specs import ComponentConfig, ModelSpec


def examine(record: PluginRecord) -> PluginRecord:
    """The record, broken where something that it requires is missing or a component cannot be there as it says."""
    if not record.is_usable:
        return record
    faults = [*_missing_requirements(record.distribution)]
    for component in record.components:
        label = f"The {component.kind.noun} '{component.name}'"
        faults += [f"{label} {fault}" for fault in _faults_of(component)]
    if not faults:
        return record
    return replace(record, state=State.BROKEN, reason=" ".join(faults))


def _missing_requirements(distribution: str) -> Iterator[str]:
    try:
        lines = importlib_metadata.distribution(distribution).requires or ()
    except Exception:  # foreign metadata: what cannot be read cannot be checked
        return
    for line in lines:
        try:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                importlib_metadata.distribution(requirement.name)  # its version would cost reading its metadata
        except InvalidRequirement:
            continue
        except importlib_metadata.PackageNotFoundError:
            wanted = f"{requirement.name}{requirement.specifier}"
            yield f"It requires '{requirement.name}', which is not installed. Try: pip install '{wanted}'."


def _faults_of(component: Component) -> Iterator[str]:
    report = f"Report it to the authors of {component.distribution}."
    if fault := _implementation_fault(component.spec.implementation):
        yield f"points to '{component.spec.implementation}', but {fault}. {report}"
    check = component.spec.check
    if check and (fault := _implementation_fault(check)):
        yield f"has its files checked by '{check}', but {fault}. {report}"
    drift = component.spec.drift if isinstance(component.spec, ModelSpec) else ""
    if drift and (fault := _implementation_fault(drift)):
        yield f"has its drift measured by '{drift}', but {fault}. {report}"
    expansion = component.spec.expansion if isinstance(component.spec, ModelSpec) else ""
    if expansion and (fault := _implementation_fault(expansion)):
        yield f"has its options expanded by '{expansion}', but {fault}. {report}"
    try:
        _describe(component.spec.config)
    except Exception as error:  # foreign types: pydantic raises whatever their code raises
        yield f"has a configuration that no schema can describe: {_first_line(error)}. {report}"


def _implementation_fault(implementation: str) -> str:
    """Why the implementation cannot be there, as far as can be told without importing it; empty if it may be."""
    module, _, attribute = implementation.partition(":")
    found = _find_module(module)
    if found is None:
        return f"there is no module '{module}'"
    if found.origin is None or not found.origin.endswith(".py"):
        return ""
    try:
        names = _names_in(found.origin, Path(found.origin).stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError) as error:
        return f"'{module}' cannot be read ({_first_line(error)})"
    if attribute in names or "*" in names or "__getattr__" in names:
        return ""
    return f"'{module}' has no '{attribute}'"


def _find_module(module: str) -> ModuleSpec | None:
    """Where a module is, without importing the packages around it as `importlib.util.find_spec` would."""
    name, *inner = module.split(".")
    try:
        found = importlib.util.find_spec(name)
        for part in inner:
            if found is None or found.submodule_search_locations is None:
                return None
            name = f"{name}.{part}"
            found = PathFinder.find_spec(name, found.submodule_search_locations)
    except (ImportError, ValueError):
        return None
    return found


@cache
def _describe(config: type[ComponentConfig]) -> None:
    """Raises what makes a schema impossible; many components have nothing to configure and share one class."""
    config.model_json_schema()


@cache
def _names_in(source: str, modified: int) -> frozenset[str]:
    """The names bound in a file as it was at that time; a module often implements several components."""
    return frozenset(_bound_names(ast.parse(Path(source).read_bytes())))


def _bound_names(tree: ast.Module) -> Iterator[str]:
    """Every name that some line of a module binds; rather one too many, since a plugin must not be accused wrongly."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
