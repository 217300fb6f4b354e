"""Ten ways to be a broken plugin, all installed at once: `inferix plugins list` tells of each; none harms another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from inferix_core.catalog import Catalog
from inferix_core.configuration import resolve
from inferix_core.specs import Kind

from .conftest import HEADER, Install, needs_torch, write_metadata

STORE = """
@hookimpl
def inferix_kv_stores():
    yield Spec("{name}", "A store.", "{implementation}"{more})
"""
DENSE = "inferix_core.defaults.dense:DenseStore"


def store(name: str, implementation: str = DENSE, more: str = "") -> str:
    return STORE.format(name=name, implementation=implementation, more=more)


@dataclass(frozen=True)
class Broken:
    """A plugin, the state it must be in, and what its reason must say: what is wrong and what to do."""

    source: str
    state: str
    told: tuple[str, ...]
    requires: tuple[str, ...] = ()


BROKEN = {
    "raises": Broken("raise RuntimeError('no luck')", "broken", ("RuntimeError: no luck", "--without acme-raises")),
    "other-api": Broken(
        store("a", more=", api=99"), "incompatible", ("written for API 99", "has API 2", "Upgrade inferix-core")
    ),
    "other-core": Broken(
        "raise AssertionError('imported')",
        "incompatible",
        ("requires inferix-core <8,>=7", "pip install --upgrade acme-other-core"),
        requires=("inferix-core>=7,<8",),
    ),
    "same-name": Broken(
        store("twin"), "conflicting", ("'acme-good:twin' and 'acme-same-name:twin'", "name one in full")
    ),
    "missing-module": Broken(
        "import not_there.at_all", "broken", ("needs the module 'not_there'", "pip install acme-missing-module")
    ),
    "missing-requirement": Broken(
        store("b"), "broken", ("requires 'not-there'", "pip install 'not-there>=2'"), requires=("not-there>=2",)
    ),
    "misspelt-hook": Broken(
        "@hookimpl\ndef inferix_kv_store(): return []", "broken", ("no hook 'inferix_kv_store'", "'inferix_kv_stores'")
    ),
    "wrong-signature": Broken(
        "@hookimpl\ndef inferix_frames(block, fps): pass", "broken", ("takes 'fps'", "inferix_frames(block)")
    ),
    "loads-torch": Broken(f"import torch\n{store('c')}", "broken", ("loads torch", "implementation alone")),
    "no-module": Broken(store("d", "inferix_core.nowhere:Store"), "broken", ("no module 'inferix_core.nowhere'",)),
    "no-attribute": Broken(
        store("e", "inferix_core.defaults.dense:Denser"), "broken", ("has no 'Denser'", "authors of acme-no-attribute")
    ),
    "no-drift": Broken(
        "@hookimpl\ndef inferix_models():\n"
        "    yield ModelSpec('g', 'A.', 'inferix_core.specs:Spec', drift='inferix_core.nowhere:drift')",
        "broken",
        ("drift measured by 'inferix_core.nowhere:drift'", "authors of acme-no-drift"),
    ),
    "no-check": Broken(
        store("h", more=", check='inferix_core.nowhere:check'"),
        "broken",
        ("files checked by 'inferix_core.nowhere:check'", "authors of acme-no-check"),
    ),
    "bad-default": Broken(
        "class Bad(ComponentConfig):\n    bits: int = Field(0, ge=1)\n" + store("f", more=", config=Bad"),
        "broken",
        ("bad default for 'bits'", "authors of acme-bad-default"),
    ),
    "no-schema": Broken(
        "from types import ModuleType\nimport json\n"
        "class Bad(ComponentConfig):\n    model_config = {'arbitrary_types_allowed': True}\n"
        "    module: ModuleType = json\n" + store("g", more=", config=Bad"),
        "broken",
        ("no schema can describe", "authors of acme-no-schema"),
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the path with a good plugin and all broken ones."""
    folder = tmp_path_factory.mktemp("site")
    good = Broken(store("twin") + '    yield Spec("good", "A store.", "' + DENSE + '")\n', "conflicting", ())
    for name, broken in {"good": good, **BROKEN}.items():
        module = f"acme_{name.replace('-', '_')}"
        (folder / f"{module}.py").write_text(HEADER + textwrap.dedent(broken.source), encoding="utf-8")
        distribution = f"acme-{name}"
        write_metadata(folder, distribution, "1.0", entry_points={distribution: module}, requires=broken.requires)
    return folder


def inferix(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INFERIX_")}
    return subprocess.run(
        [sys.executable, "-m", "inferix_core.cli", *arguments],
        capture_output=True,
        text=True,
        env={**kept, "PYTHONPATH": str(place), "COLUMNS": "250"},
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def rows(place: Path) -> dict[str, dict[str, Any]]:
    """What `inferix plugins list` says, by distribution."""
    done = inferix(place, "plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    return {row["distribution"]: row for row in json.loads(done.stdout)}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_torch) if name == "loads-torch" else name for name in BROKEN]
)
def test_a_broken_plugin_is_listed_with_its_state_and_what_to_do(rows: dict[str, dict[str, Any]], name: str) -> None:
    row = rows[f"acme-{name}"]
    assert row["state"] == BROKEN[name].state, row
    assert [words for words in BROKEN[name].told if words not in row["reason"]] == []


@needs_torch
def test_broken_plugins_harm_no_other(rows: dict[str, dict[str, Any]], place: Path) -> None:
    assert rows["inferix-core"]["state"] == "ready"
    assert "kv-store good" in rows["acme-good"]["provides"]
    shown = inferix(place, "plugins", "show", "kv-store", "good")
    assert (shown.returncode, "good – KV store of acme-good 1.0" in shown.stdout) == (0, True)


def test_the_schema_leaves_out_what_cannot_be_described_and_says_so(place: Path) -> None:
    done = inferix(place, "schema")
    definitions = json.loads(done.stdout)["$defs"]
    assert {"kv-store.acme-good:good", "kv-store.inferix-core:dense"} <= set(definitions)
    assert "kv-store.acme-no-schema:g" not in definitions
    assert "'acme-no-schema:g' is left out of the schema" in done.stderr


def test_the_table_names_every_broken_plugin(place: Path) -> None:
    table = inferix(place, "plugins", "list").stdout
    assert [name for name in BROKEN if f"acme-{name}" not in table] == []


PRESET = """
@hookimpl
def inferix_models():
    preset = {"planner": {"use": "mine"}, "kv": {"policy": {"use": "window"}}}
    yield ModelSpec("m", "A model.", "nowhere:M", preset=preset)

@hookimpl
def inferix_schedulers():
    yield Spec("mine", "A planner.", "nowhere:P")
"""
SAME_NAMES = """
@hookimpl
def inferix_schedulers():
    yield Spec("mine", "A planner.", "nowhere:P")

@hookimpl
def inferix_attention_backends():
    yield Spec("sdpa", "A backend.", "nowhere:B")

@hookimpl
def inferix_kv_policies():
    yield Spec("window", "A policy.", "nowhere:W")
"""


def test_a_stranger_with_the_same_names_changes_neither_presets_nor_defaults(install: Install) -> None:
    install("acme-model", PRESET)
    install("inferix-kvstore", "@hookimpl\ndef inferix_kv_policies(): yield Spec('window', 'A policy.', 'nowhere:W')")
    install("acme-stranger", SAME_NAMES)
    catalog = Catalog.discover(only=["acme-model", "inferix-kvstore", "acme-stranger"])
    config = resolve({"model": {"use": "m"}}, catalog)
    chosen = {kind: config.required(kind).component.distribution for kind in (Kind.PLANNER, Kind.ATTENTION)}
    assert chosen == {Kind.PLANNER: "acme-model", Kind.ATTENTION: "inferix-core"}
    assert config.required(Kind.KV_POLICY).component.distribution == "inferix-kvstore"
    with pytest.raises(Exception, match="'acme-model:mine' and 'acme-stranger:mine'"):
        resolve({"model": {"use": "m"}, "planner": {"use": "mine"}}, catalog)
