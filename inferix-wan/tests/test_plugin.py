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
    code = (
        "import sys, inferix_wan.geometry, inferix_wan.transformer.official; "
        "from inferix_wan.planners import causvid, clip, guided_blocks, overlap, self_forcing; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_component_is_where_its_spec_says() -> None:
    hooks = (plugin.inferix_models, plugin.inferix_schedulers, plugin.inferix_solvers, plugin.inferix_decoders)
    found = {spec.name: spec.load().__name__ for hook in hooks for spec in hook() if not isinstance(spec, ModelSpec)}
    assert found == {
        "self-forcing": "SelfForcingPlanner",
        "causvid": "CausVidPlanner",
        "causvid-overlap": "CausVidOverlapPlanner",
        "guided-blocks": "GuidedBlocksPlanner",
        "whole-clip": "WholeClipPlanner",
        "few-step-clip": "FewStepClipPlanner",
        "few-step": "FewStepSolver",
        "unipc": "UniPCSolver",
        "dpm-plus-plus": "DpmPlusPlusSolver",
        "wan-vae": "WanVaeDecoder",
        "taehv": "TaehvDecoder",
    }
    models = {model.name: model.load().__name__ for model in plugin.inferix_models()}
    assert models == {
        "self-forcing": "text_model",
        "self-forcing-diffusion": "text_model",
        "causvid": "text_model",
        "wan-t2v": "text_model",
        "wan-i2v": "image_model",
    }


def test_what_can_begin_and_steer_a_world_is_declared() -> None:
    others = {"quantize", "token-sharding", "layer-stages"}
    models = {model.name: model.provides - others for model in plugin.inferix_models()}
    assert models == {
        "self-forcing": {"image-prefix", "video-prefix", "window-relative"},
        "self-forcing-diffusion": {"image-prefix", "video-prefix", "window-relative", "negative-prompt"},
        "causvid": {"image-prefix", "video-prefix", "window-relative"},
        "wan-t2v": {"negative-prompt"},
        "wan-i2v": {"image-prefix", "negative-prompt"},
    }
    assert [model.name for model in plugin.inferix_models() if model.needs_picture] == ["wan-i2v"]
    assert {decoder.name: decoder.provides for decoder in plugin.inferix_decoders()} == {
        "wan-vae": {"encode", "split-width"},
        "taehv": {"encode"},
    }
    assert [planner.name for planner in plugin.inferix_schedulers() if planner.provides] == ["causvid-overlap"]


def test_every_model_can_be_spread_over_ranks() -> None:
    assert all({"token-sharding", "layer-stages"} <= model.provides for model in plugin.inferix_models())


def test_the_entry_point_is_declared() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    assert project["entry-points"] == {"inferix": {"wan": "inferix_wan.plugin"}}
