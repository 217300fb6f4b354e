"""The rules of a plugin as a whole: what its front door and its metadata say.

`inferix plugins check` tells how an installed plugin fares; `PluginSuite` makes a test of each rule.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

import importlib_metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import inferix_core
from inferix_core.catalog.hooks import FaultyPluginError, OtherApiError, new_plugin_manager, read_specs
from inferix_core.catalog.selection import CORE_DISTRIBUTION
from inferix_core.catalog.snapshot import GROUP
from inferix_core.specs import API, Kind, Spec

HEAVY = ("torch", "av", "safetensors")


@dataclass(frozen=True, slots=True)
class Subject:
    """A plugin module by its dotted name, and the name under which its distribution is installed."""

    module: str
    distribution: str

    def plugin(self) -> ModuleType:
        """The module, imported."""
        return importlib.import_module(self.module)

    def specs(self) -> Iterator[tuple[Kind, Spec]]:
        """What the hooks yield, unchecked, so that one fault breaks one rule."""
        manager = new_plugin_manager()
        manager.register(self.plugin(), name=self.module)
        for kind in Kind:
            for specs in getattr(manager.hook, kind.hook)():
                yield from ((kind, spec) for spec in specs)


def _entry_point(subject: Subject) -> str:
    points = importlib_metadata.distribution(subject.distribution).entry_points.select(group=GROUP)
    values = [point.value for point in points]
    if subject.module in values:
        return ""
    return f"the entry points of '{subject.distribution}' in the group '{GROUP}' are {values}"


def _lightness(subject: Subject) -> str:
    code = f"import sys, {subject.module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if result.returncode != 0:
        return f"'{subject.module}' cannot be imported: {result.stderr.strip().splitlines()[-1:]}"
    loaded = result.stdout.strip()
    return f"importing '{subject.module}' also imports {loaded}" if loaded else ""


def _hooks(subject: Subject) -> str:
    try:
        specs = read_specs(subject.plugin(), subject.module)
    except OtherApiError:
        return ""  # another rule's concern
    except FaultyPluginError as error:
        return str(error)
    return "" if specs or hasattr(subject.plugin(), "inferix_add_commands") else "the plugin brings nothing"


def _api(subject: Subject) -> str:
    other = {spec.name: spec.api for _, spec in subject.specs() if spec.api != API}
    return f"this core has API {API}, but {other}" if other else ""


def _summaries(subject: Subject) -> str:
    for _, spec in subject.specs():
        if not spec.summary.strip():
            return f"'{spec.name}' has no summary"
        if "\n" in spec.summary:
            return f"the summary of '{spec.name}' has several lines"
    return ""


def _descriptions(subject: Subject) -> str:
    bare = [
        f"{spec.name}.{name}"
        for _, spec in subject.specs()
        for name, field in getattr(spec.config, "model_fields", {}).items()
        if not (field.description or "").strip()
    ]
    return f"without a description: {', '.join(bare)}" if bare else ""


def _implementations(subject: Subject) -> str:
    for _, spec in subject.specs():
        try:
            implementation = spec.load()
        except (ImportError, AttributeError, ValueError) as error:
            return f"'{spec.name}' is not at '{spec.implementation}': {error}"
        if not callable(implementation):
            return f"'{spec.implementation}' cannot be called"
    return ""


def _range_of_cores(subject: Subject) -> str:
    if canonicalize_name(subject.distribution) == CORE_DISTRIBUTION:
        return ""
    lines = importlib_metadata.distribution(subject.distribution).requires or []
    ranges = [
        one for one in map(Requirement, lines) if canonicalize_name(one.name) == CORE_DISTRIBUTION and not one.marker
    ]
    if len(ranges) != 1:
        return f"'{subject.distribution}' requires {CORE_DISTRIBUTION} {len(ranges)} times; it must once"
    wanted = ranges[0].specifier
    if not any(part.operator in (">=", "~=", "==", ">") for part in wanted):
        return f"'{wanted}' has no oldest core"
    if not wanted.contains(inferix_core.__version__, prereleases=True):
        return f"'{wanted}' leaves out this core, {inferix_core.__version__}"
    return ""


RULES: Mapping[str, Callable[[Subject], str]] = {
    "an entry point names the module": _entry_point,
    "the module loads no tensor library": _lightness,
    "hooks and specs are as they must be": _hooks,
    "specs speak the api of this core": _api,
    "every component says in one line what it is": _summaries,
    "every setting is described": _descriptions,
    "every implementation can be imported": _implementations,
    "the metadata name the cores that it works with": _range_of_cores,
}
"""Each rule as a sentence, and what finds the fault: an empty string where there is none."""
