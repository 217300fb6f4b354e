"""Tables in, components out; and what mistakes are told as."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from inferix_core.catalog import Catalog
from inferix_core.configuration import (
    ResolvedConfig,
    apply_overrides,
    load_toml,
    merge,
    resolve,
    schema,
    validated,
)
from inferix_core.errors import ConfigError, UnknownPluginError
from inferix_core.specs import Kind

from .conftest import Install

WORLD = """
class WindowConfig(ComponentConfig):
    num_sink_latents: int = Field(3, ge=0, description="Latents that always stay.")
    num_window_latents: int = Field(9, ge=1, description="Latents that stay last.")

class Nested(ComponentConfig):
    path: str = Field(description="Where to write.")

class TraceConfig(ComponentConfig):
    mode: str = Field("all", pattern="^(all|one)$", description="One of all and one.")
    files: tuple[Nested, ...] = Field((), description="Files.")

class TinyConfig(ComponentConfig):
    num_layers: int = Field(2, ge=1, le=8, description="Layers.")
    shift: float = Field(5.0, gt=0, description="Shift.", json_schema_extra={"unit": "levels of noise"})
    checkpoint: str | None = Field(None, description="Weights.")

@hookimpl
def inferix_models():
    yield ModelSpec(
        "tiny", "A small world.", "nowhere:Tiny", config=TinyConfig, default_priority=10, actions=("left", "right"),
        preset={
            "planner": {"use": "plain"},
            "kv": {"policy": {"use": "window", "num_sink_latents": 1}},
            "dtype": "float32",
        },
        presets={"big": {"model": {"num_layers": 4}, "kv": {"policy": {"num_sink_latents": 2}}}},
    )
    yield ModelSpec("other", "Another world.", "nowhere:Other", preset={"solver": {"use": "missing-solver"}})

@hookimpl
def inferix_schedulers():
    yield Spec("plain", "s", "nowhere:Plain")

@hookimpl
def inferix_kv_policies():
    yield Spec("window", "The last latents stay.", "nowhere:Window", config=WindowConfig)

@hookimpl
def inferix_profilers():
    yield Spec("trace", "Writes a trace.", "nowhere:Trace", config=TraceConfig)
"""


@pytest.fixture
def catalog(install: Install) -> Catalog:
    install("acme-world", WORLD)
    return Catalog.discover(only=["acme-world"])


def settings(resolved: ResolvedConfig, kind: Kind) -> Mapping[str, Any]:
    return resolved.required(kind).config.model_dump()


def told(raw: Mapping[str, Any], catalog: Catalog) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(raw, catalog)
    return str(caught.value)


def test_an_empty_configuration_is_the_default_model_with_its_preset_and_the_defaults_of_the_core(
    catalog: Catalog,
) -> None:
    resolved = resolve({}, catalog)
    assert resolved.model.name == "tiny"
    assert resolved.required(Kind.PLANNER).component.name == "plain"
    assert settings(resolved, Kind.KV_POLICY) == {"num_sink_latents": 1, "num_window_latents": 9}
    assert resolved.required(Kind.KV_STORE).component.name == "dense"
    assert resolved.required(Kind.ATTENTION).component.name == "sdpa"
    assert resolved.selected(Kind.KV_CODEC) is None
    assert (resolved.run.dtype, resolved.run.device, resolved.run.seed) == ("float32", "auto", 0)


def test_the_users_keys_lie_over_the_preset_key_by_key(catalog: Catalog) -> None:
    resolved = resolve({"kv": {"policy": {"num_window_latents": 4}}, "dtype": "bfloat16"}, catalog)
    assert settings(resolved, Kind.KV_POLICY) == {"num_sink_latents": 1, "num_window_latents": 4}
    assert resolved.run.dtype == "bfloat16"


def test_naming_the_same_component_in_full_keeps_the_presets_keys(catalog: Catalog) -> None:
    resolved = resolve({"kv": {"policy": {"use": "acme-world:window"}}}, catalog)
    assert settings(resolved, Kind.KV_POLICY)["num_sink_latents"] == 1


def test_naming_another_component_drops_the_presets_keys_for_it(catalog: Catalog) -> None:
    resolved = resolve({"kv": {"policy": {"use": "full"}}}, catalog)
    assert resolved.required(Kind.KV_POLICY).component.name == "full"


def test_a_named_preset_lies_between_the_models_own_and_the_user(catalog: Catalog) -> None:
    resolved = resolve({"model": {"preset": "big", "shift": 3.0}}, catalog)
    assert settings(resolved, Kind.MODEL) == {"num_layers": 4, "shift": 3.0, "checkpoint": None}
    assert settings(resolved, Kind.KV_POLICY)["num_sink_latents"] == 2
    assert resolve({"model": {"preset": "big", "num_layers": 5}}, catalog).effective["model"]["num_layers"] == 5


def test_resolving_changes_neither_the_tables_nor_the_preset(catalog: Catalog) -> None:
    raw = {"model": {"preset": "big"}, "kv": {"policy": {"num_window_latents": 4}}}
    first = resolve(raw, catalog).effective
    assert raw == {"model": {"preset": "big"}, "kv": {"policy": {"num_window_latents": 4}}}
    assert resolve({}, catalog).effective != first
    assert resolve(raw, catalog).effective == first


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            {"kv": {"policy": {"num_sink_latnts": 2}}},
            (
                "kv.policy.num_sink_latnts: there is no such key. Did you mean 'num_sink_latents'? "
                "Accepted: num_sink_latents, num_window_latents."
            ),
        ),
        (
            {"kv": {"policy": {"num_window_latents": 0}}},
            "kv.policy.num_window_latents: must be at least 1 (latents), found 0.",
        ),
        ({"model": {"num_layers": 9}}, "model.num_layers: must be at most 8 (layers), found 9."),
        ({"model": {"shift": 0.0}}, "model.shift: must be greater than 0.0 (levels of noise), found 0.0."),
        ({"model": {"num_layers": "many"}}, "model.num_layers: must be a whole number, found 'many'."),
        (
            {"model": {"preset": "bgi"}},
            "model.preset: 'tiny' has no preset called 'bgi'. Did you mean 'big'? Presets: big.",
        ),
        ({"seed": -1}, "seed: must be at least 0, found -1."),
        ({"seed": "3"}, "seed: must be a whole number, found '3'."),
        ({"sede": 1}, "sede: there is no such key. Did you mean 'seed'?"),
        (
            {"kv": {"polcy": {}}},
            (
                "kv.polcy: there is no such key. Did you mean 'policy'? "
                "Accepted: codec, policy, positions, recache, store."
            ),
        ),
        ({"kv": {"policy": "full"}}, "kv.policy: must be a table, e.g. { use = \"name\" }, found 'full'."),
        ({"kv": 3}, "kv: must be a table, found 3."),
        ({"model": 3}, "model: must be a table"),
        ({"planner": {"use": 3}}, "planner.use: must be text, found 3."),
        ({"quantizer": {"bits": 4}}, 'quantizer: needs use = "…" beside bits. Installed: none.'),
        ({"device": "gpu"}, "device: 'gpu' is not accepted. Where the model runs: auto, cpu, mps, cuda or cuda:N."),
        ({"dtype": "bfloat"}, "found 'bfloat'. Did you mean 'bfloat16'?"),
        ({"num_threads": 0}, "num_threads: must be at least 1 (threads), found 0."),
        ({"profilers": [{"mode": "all"}]}, 'profilers.0: needs use = "…"'),
        ({"profilers": [{"use": "trace", "mod": 1}]}, "profilers.0.mod: there is no such key. Did you mean 'mode'?"),
        ({"profilers": [{"use": "trace", "files": [{"pth": "a"}]}]}, "profilers.0.files.0.pth: there is no such key."),
        (
            {"profilers": [{"use": "trace", "files": [{}]}]},
            "profilers.0.files.0.path: is missing (Where to write). Set it.",
        ),
        ({"profilers": {"use": "trace"}}, "profilers: must be a list"),
        ({"model": {"use": "other"}}, "(From the preset of 'other'.)"),
    ],
)
def test_a_mistake_is_told_with_its_path_what_was_found_and_what_is_accepted(
    catalog: Catalog, raw: dict[str, Any], sentence: str
) -> None:
    assert sentence in told(raw, catalog)


def test_all_mistakes_are_told_at_once(catalog: Catalog) -> None:
    message = told(
        {"sede": 1, "model": {"num_layers": 0}, "kv": {"policy": {"use": "windw"}, "store": {"x": 1}}}, catalog
    )
    assert message.startswith("4 problems in the configuration:")
    for path in ("sede:", "model.num_layers:", "kv.policy.use:", "kv.store.x:"):
        assert f"\n  {path}" in message


def test_mistakes_elsewhere_are_told_even_when_the_model_is_unknown(catalog: Catalog) -> None:
    message = told({"model": {"use": "tinny"}, "kv": {"policy": {"use": "window", "num_window_latents": 0}}}, catalog)
    assert "No model is called 'tinny'. Did you mean 'tiny'?" in message
    assert "kv.policy.num_window_latents: must be at least 1" in message


def test_an_unknown_name_alone_is_an_unknown_plugin_error(catalog: Catalog) -> None:
    with pytest.raises(UnknownPluginError, match=r"planner\.use: No planner is called 'plan'. Did you mean 'plain'"):
        resolve({"planner": {"use": "plan"}}, catalog)


def test_a_kind_that_nobody_chose_is_told_when_it_is_needed(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="solver: no solver is chosen, and the model 'tiny' names none"):
        resolve({}, catalog).required(Kind.SOLVER)


def test_without_a_default_several_models_are_listed_and_one_is_taken(install: Install) -> None:
    source = "@hookimpl\ndef inferix_models(): yield ModelSpec('{0}', 's', 'nowhere:A')"
    install("acme-a", source.format("a"))
    assert resolve({}, Catalog.discover(only=["acme-a"])).model.name == "a"
    install("acme-b", source.format("b"))
    assert "several are installed: a, b" in told({}, Catalog.discover(only=["acme-a", "acme-b"]))


def test_without_any_model_the_error_says_what_to_install(site: Path) -> None:
    assert "pip install inferix-tinyworld" in told({}, Catalog.discover(only=()))


def test_options_of_one_component_are_validated_the_same_way(catalog: Catalog) -> None:
    component = catalog.choose(Kind.KV_POLICY, "window")
    assert validated(component, {"num_sink_latents": 7}).model_dump()["num_sink_latents"] == 7
    with pytest.raises(ConfigError, match=r"window\.num_sink_latents: must be at least 0 \(latents\), found -1"):
        validated(component, {"num_sink_latents": -1})


def test_overrides_are_toml_and_fall_back_to_text() -> None:
    raw = {"kv": {"policy": {"use": "full"}}}
    overrides = ["kv.policy.use=sink-window", "kv.policy.n = 3", "seed=3", 'a.b="3"', "ok=true", "l=[{use='x'}]", "e="]
    assert apply_overrides(raw, overrides) == {
        "kv": {"policy": {"use": "sink-window", "n": 3}},
        "seed": 3,
        "a": {"b": "3"},
        "ok": True,
        "l": [{"use": "x"}],
        "e": "",
    }
    assert raw == {"kv": {"policy": {"use": "full"}}}


def test_an_override_cannot_smuggle_in_a_second_key() -> None:
    assert apply_overrides({}, ["a=1\nb=2"]) == {"a": "1\nb=2"}


@pytest.mark.parametrize("override", ["seed", "=3", "kv..use=1", "seed.x=1"])
def test_an_override_that_names_no_key_is_an_error(override: str) -> None:
    with pytest.raises(ConfigError, match=override):
        apply_overrides({"seed": 3}, [override])


def test_merging_replaces_lists_and_keeps_what_is_not_named() -> None:
    lower = {"profilers": [{"use": "a"}], "attention": {"use": "sdpa", "x": 1}, "seed": 1}
    upper = {"profilers": [], "attention": {"x": 2}}
    assert merge(lower, upper) == {"profilers": [], "attention": {"use": "sdpa", "x": 2}, "seed": 1}


def test_files_that_cannot_be_read_are_told_with_the_line(tmp_path: Path) -> None:
    broken = tmp_path / "run.toml"
    broken.write_text("seed = 1\n[kv\nuse = 2\n")
    with pytest.raises(ConfigError, match=r"line 2.*The line reads: \[kv"):
        load_toml(broken)
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_toml(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_toml(tmp_path)
    broken.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_toml(broken)


def test_a_file_becomes_tables(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[kv]\npolicy = { use = "full" }\n')
    assert load_toml(file) == {"kv": {"policy": {"use": "full"}}}


def test_the_schema_has_every_component_under_its_table_and_every_reference_leads_somewhere(catalog: Catalog) -> None:
    described = schema(catalog)
    policies = described["properties"]["kv"]["properties"]["policy"]["anyOf"]
    assert policies == [{"$ref": f"#/$defs/kv-policy.{name}"} for name in ("inferix-core:full", "acme-world:window")]
    window = described["$defs"]["kv-policy.acme-world:window"]
    assert window["properties"]["use"]["enum"] == ["window", "acme-world:window"]
    assert window["properties"]["num_window_latents"]["minimum"] == 1
    assert window["additionalProperties"] is False
    assert described["$defs"]["model.acme-world:tiny"]["properties"]["preset"]["enum"] == ["big"]
    references = list(_references(described))
    assert len(references) > 5
    for reference in references:
        assert reference.removeprefix("#/$defs/") in described["$defs"]


def test_every_key_in_the_schema_of_the_skeleton_has_a_description(catalog: Catalog) -> None:
    properties = schema(catalog)["properties"]
    assert all(entry.get("description") for entry in properties.values())
    assert all(entry.get("description") for entry in properties["kv"]["properties"].values())


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


EXPANDING = """
class TextConfig(ComponentConfig):
    path: str | None = Field(None, description="Files.")
    length: int = Field(1, description="Tokens.")

class BoxConfig(ComponentConfig):
    box: str | None = Field(None, description="A name that stands for several options.")
    num_layers: int = Field(2, description="Layers.")
    text: TextConfig = Field(TextConfig(), description="Text.")

def expand(options):
    if options.get("box") == "unknown":
        raise ConfigError("'unknown' is no box.")
    if "box" not in options:
        return {}
    return {"seed": 7, "dtype": "bfloat16", "model": {"num_layers": 6, "text": {"path": "x", "length": 3}}}

@hookimpl
def inferix_models():
    yield ModelSpec(
        "boxed", "A world.", "nowhere:Boxed", config=BoxConfig, preset={"dtype": "float32", "model": {"num_layers": 3}},
        expansion="plugin_acme_boxes:expand",
    )
"""


def test_what_a_models_options_stand_for_lies_over_its_presets_and_under_what_the_user_says(install: Install) -> None:
    install("acme-boxes", "from inferix_core.errors import ConfigError\n" + EXPANDING)
    catalog = Catalog.discover(only=["acme-boxes"])
    plain = resolve({"model": {"num_layers": 4}}, catalog)
    assert (plain.run.dtype, plain.run.seed, plain.effective["model"]["num_layers"]) == ("float32", 0, 4)
    boxed = resolve({"model": {"box": "a", "text": {"length": 5}}, "seed": 8}, catalog)
    assert (boxed.run.dtype, boxed.run.seed) == ("bfloat16", 8)
    assert settings(boxed, Kind.MODEL) == {"box": "a", "num_layers": 6, "text": {"path": "x", "length": 5}}
    assert told({"model": {"box": "unknown"}}, catalog) == "model: 'unknown' is no box."
