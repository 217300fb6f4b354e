"""The plugin module declares what there is, loads no torch, and what it declares can be built."""

import subprocess
import sys
import tomllib
from pathlib import Path

from inferix_core.specs import ModelSpec
from inferix_wan import plugin

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_declaring_the_components_loads_no_torch() -> None:
    code = (
        "import sys, inferix_wan.plugin as p; "
        "[list(f()) for f in (p.inferix_models, p.inferix_schedulers, p.inferix_solvers, p.inferix_decoders)]; "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_planning_loads_no_torch() -> None:
    code = "import sys, inferix_wan.self_forcing, inferix_wan.geometry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_component_is_where_its_spec_says() -> None:
    hooks = (plugin.inferix_models, plugin.inferix_schedulers, plugin.inferix_solvers, plugin.inferix_decoders)
    found = {spec.name: spec.load().__name__ for hook in hooks for spec in hook() if not isinstance(spec, ModelSpec)}
    assert found == {
        "self-forcing": "SelfForcingPlanner",
        "few-step": "FewStepSolver",
        "wan-vae": "WanVaeDecoder",
    }
    (model,) = plugin.inferix_models()
    assert (model.name, model.load().__name__) == ("self-forcing", "SelfForcingModel")


def test_presets_set_only_keys_that_their_components_know() -> None:
    (model,) = plugin.inferix_models()
    (decoder,) = plugin.inferix_decoders()
    for preset in model.presets.values():
        model.config.model_validate(preset["model"])
        decoder.config.model_validate(preset["decoder"])


def test_the_entry_point_is_declared() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    assert project["entry-points"] == {"inferix": {"wan": "inferix_wan.plugin"}}
