"""Every rule of the plugin suite is broken by one plugin that keeps all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from inferix_core.testing.suites import PluginSuite, broken_rules, rules_of

GOOD = '''
class Config(ComponentConfig):
    """Settings."""

    num_latents: int = Field(3, ge=1, description="Latents that stay.")


@hookimpl
def inferix_kv_policies():
    yield Spec("mine", "Keeps the last latents.", "inferix_core.defaults.full:FullPolicy", Config)
'''
BROKEN: dict[str, dict[str, Any]] = {
    "test_an_entry_point_names_the_module": {"target": "somewhere.else"},
    "test_the_module_loads_no_tensor_library": {"source": f"import safetensors\n{GOOD}"},
    "test_hooks_and_specs_are_as_they_must_be": {
        "source": f"{GOOD}\n@hookimpl\ndef inferix_kv_polices():\n    return []\n"
    },
    "test_specs_speak_the_api_of_this_core": {"source": GOOD.replace("Config)\n", "Config, api=99)\n")},
    "test_every_component_says_in_one_line_what_it_is": {"source": GOOD.replace("Keeps the last latents.", "")},
    "test_every_setting_is_described": {"source": GOOD.replace(', description="Latents that stay."', "")},
    "test_every_implementation_can_be_imported": {"source": GOOD.replace(":FullPolicy", ":FulPolicy")},
    "test_the_metadata_name_the_cores_that_it_works_with": {"requires": ("pydantic>=2",)},
}


class TestCorePlugin(PluginSuite):
    module = "inferix_core.plugin"
    distribution = "inferix-core"


def broken(install: Any, tmp_path: Path, **plugin: Any) -> list[str]:
    path = install("their-thing", **{"source": GOOD, "requires": ("inferix-core>=0.0.1",), **plugin})

    class Cases(PluginSuite):
        module = path.stem
        distribution = "their-thing"

    return broken_rules(Cases(), tmp_path)


def test_a_good_plugin_breaks_no_rule(install: Any, tmp_path: Path) -> None:
    assert broken(install, tmp_path) == []


@pytest.mark.parametrize("name", rules_of(PluginSuite))
def test_the_plugin_that_breaks_a_rule_fails_it_and_no_other(name: str, install: Any, tmp_path: Path) -> None:
    assert broken(install, tmp_path, **BROKEN[name]) == [name]


@pytest.mark.parametrize("requirement", ["inferix-core", "inferix-core<9", "inferix-core>=99"])
def test_a_range_without_an_oldest_core_or_without_this_core_fails(
    requirement: str, install: Any, tmp_path: Path
) -> None:
    failed = broken(install, tmp_path, requires=(requirement,))
    assert failed == ["test_the_metadata_name_the_cores_that_it_works_with"]
