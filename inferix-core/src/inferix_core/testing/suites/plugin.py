"""The rules of a plugin as a whole, as tests; `inferix plugins check` tells the same of what is installed."""

from __future__ import annotations

from inferix_core.catalog.conformance import RULES, Subject
from inferix_core.testing.suites.base import Suite, rule


class PluginSuite(Suite):
    """Set `module`, the plugin module, and `distribution`, the name under which it is installed."""

    module: str
    distribution: str

    @rule
    def test_an_entry_point_names_the_module(self) -> None:
        self._keeps("an entry point names the module")

    @rule
    def test_the_module_loads_no_tensor_library(self) -> None:
        self._keeps("the module loads no tensor library")

    @rule
    def test_hooks_and_specs_are_as_they_must_be(self) -> None:
        self._keeps("hooks and specs are as they must be")

    @rule
    def test_specs_speak_the_api_of_this_core(self) -> None:
        self._keeps("specs speak the api of this core")

    @rule
    def test_every_component_says_in_one_line_what_it_is(self) -> None:
        self._keeps("every component says in one line what it is")

    @rule
    def test_every_setting_is_described(self) -> None:
        self._keeps("every setting is described")

    @rule
    def test_every_implementation_can_be_imported(self) -> None:
        self._keeps("every implementation can be imported")

    @rule
    def test_the_metadata_name_the_cores_that_it_works_with(self) -> None:
        self._keeps("the metadata name the cores that it works with")

    def _keeps(self, name: str) -> None:
        fault = RULES[name](Subject(self.module, self.distribution))
        assert not fault, fault
