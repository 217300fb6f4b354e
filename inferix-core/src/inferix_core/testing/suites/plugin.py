"""The rules of a plugin as a whole: what its front door and its metadata say."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import inferix_core
from inferix_core.catalog.hooks import FaultyPluginError, OtherApiError, new_plugin_manager, read_specs
from inferix_core.specs import API, Kind, Spec
from inferix_core.testing.suites.base import Suite, rule

CORE = "inferix-core"
HEAVY = ("torch", "av", "safetensors")


class PluginSuite(Suite):
    """Set `module`, the plugin module, and `distribution`, the name under which it is installed."""

    module: str
    distribution: str

    @rule
    def test_an_entry_point_names_the_module(self) -> None:
        points = [point.value for point in distribution(self.distribution).entry_points if point.group == "inferix"]
        assert self.module in points, f"the entry points of '{self.distribution}' in the group 'inferix' are {points}"

    @rule
    def test_the_module_loads_no_tensor_library(self) -> None:
        code = f"import sys, {self.module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
        )
        assert not result.stdout.strip(), f"importing '{self.module}' also imports {result.stdout.strip()}"

    @rule
    def test_hooks_and_specs_are_as_they_must_be(self) -> None:
        try:
            specs = read_specs(self._plugin(), self.module)
        except OtherApiError:
            return  # another rule's concern
        except FaultyPluginError as error:
            raise AssertionError(str(error)) from error
        commands = hasattr(self._plugin(), "inferix_add_commands")
        assert specs or commands, "the plugin brings nothing"

    @rule
    def test_specs_speak_the_api_of_this_core(self) -> None:
        other = {spec.name: spec.api for _, spec in self._specs() if spec.api != API}
        assert not other, f"this core has API {API}, but {other}"

    @rule
    def test_every_component_says_in_one_line_what_it_is(self) -> None:
        for _, spec in self._specs():
            assert spec.summary.strip(), f"'{spec.name}' has no summary"
            assert "\n" not in spec.summary, f"the summary of '{spec.name}' has several lines"

    @rule
    def test_every_setting_is_described(self) -> None:
        bare = [
            f"{spec.name}.{name}"
            for _, spec in self._specs()
            for name, field in getattr(spec.config, "model_fields", {}).items()
            if not (field.description or "").strip()
        ]
        assert not bare, f"without a description: {', '.join(bare)}"

    @rule
    def test_every_implementation_can_be_imported(self) -> None:
        for _, spec in self._specs():
            try:
                implementation = spec.load()
            except (ImportError, AttributeError, ValueError) as error:
                raise AssertionError(f"'{spec.name}' is not at '{spec.implementation}': {error}") from error
            assert callable(implementation), f"'{spec.implementation}' cannot be called"

    @rule
    def test_the_metadata_name_the_cores_that_it_works_with(self) -> None:
        if canonicalize_name(self.distribution) == CORE:
            return
        lines = distribution(self.distribution).requires or []
        ranges = [one for one in map(Requirement, lines) if canonicalize_name(one.name) == CORE and one.marker is None]
        assert ranges, f"'{self.distribution}' does not require {CORE}"
        (wanted,) = (one.specifier for one in ranges)
        assert any(part.operator in (">=", "~=", "==", ">") for part in wanted), f"'{wanted}' has no oldest core"
        assert wanted.contains(inferix_core.__version__, prereleases=True), "it does not work with this core"

    def _plugin(self) -> ModuleType:
        return importlib.import_module(self.module)

    def _specs(self) -> Iterator[tuple[Kind, Spec]]:
        """What the hooks yield, unchecked, so that one fault breaks one rule."""
        manager = new_plugin_manager()
        manager.register(self._plugin(), name=self.module)
        for kind in Kind:
            for specs in getattr(manager.hook, kind.hook)():
                yield from ((kind, spec) for spec in specs)
