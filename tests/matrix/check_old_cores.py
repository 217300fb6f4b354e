"""Today's plugins beside the cores of earlier releases, whose wheels are kept: what they accept must work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from place import ROOT, Place, packages

CORES = sorted((ROOT / "tests" / "compat").glob("inferix_core-*.whl"))
PLUGINS = sorted({path.name for path in packages()} - {"inferix", "inferix-core"})


def plugins(place: Place, core: Path) -> dict[str, str]:
    """Distribution to state, of all plugins beside that core."""
    place.holds("inferix-core", *PLUGINS)
    place.holds_core(core)
    rows = json.loads(place.run("inferix", "plugins", "list", "--json").stdout)
    return {row["distribution"]: row["state"] for row in rows}


def test_a_core_is_kept() -> None:
    assert [path.name for path in CORES][:1] == ["inferix_core-0.1.0-py3-none-any.whl"]


@pytest.mark.parametrize("core", CORES, ids=lambda path: path.name)
def test_a_plugin_is_ready_beside_an_old_core_or_says_that_it_needs_a_newer_one(place: Place, core: Path) -> None:
    states = plugins(place, core)
    assert set(states) == {"inferix-core", *PLUGINS}
    assert states["inferix-core"] == "ready"
    assert set(states.values()) <= {"ready", "incompatible"}


@pytest.mark.parametrize("core", CORES, ids=lambda path: path.name)
def test_the_embedded_world_runs_on_an_old_core_that_its_packages_accept(
    place: Place, tmp_path: Path, core: Path
) -> None:
    states = plugins(place, core)
    needed = ("inferix-kvstore", "inferix-tinyworld", "inferix-wan")
    arguments = ("generate", "a red ball", "--seconds", "0.5", "-o", "a.npy")
    if all(states[name] == "ready" for name in needed):
        place.run("inferix", *arguments, cwd=tmp_path)
        assert np.load(tmp_path / "a.npy").std() > 0
    else:
        said = " ".join(place.run("inferix", *arguments, cwd=tmp_path, code=2).stderr.split())
        assert "pip install" in said
