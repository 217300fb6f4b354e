"""The bill of the KV cache: how combinations are written, what they are charged, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from inferix_core.bench.kv import DriftRun, KVBill, measure_kv
from inferix_core.bench.kv_cases import case_of, default_cases, reference_case, without_codec
from inferix_core.bench.likeness import likeness, mean_squared_error
from inferix_core.catalog import Catalog
from inferix_core.cli.application import run
from inferix_core.configuration import ResolvedConfig, resolve
from inferix_core.errors import ConfigError
from inferix_core.runtime.engine import Engine

from .conftest import Install

POND = """
    class LastConfig(ComponentConfig):
        num_latents: int = Field(6, ge=2, description="Latents that stay.")

    class LastPolicy:
        def __init__(self, config):
            self.num = config.num_latents
        def retained(self, held, upcoming):
            return [one for one in held if one >= upcoming.stop - self.num]
        def visible(self, entry, available):
            return [one for one in available if one >= entry.latents.stop - self.num]
        def capacity(self, num_block_latents):
            return self.num

    class HalvesCodec:
        num_exact_sink_latents = num_exact_recent_latents = 0
        def __init__(self, config, *, layout, dtype):
            from dataclasses import replace
            self.dtype = dtype
            shapes = {name: replace(shape, dtype="float16") for name, shape in layout.fields.items()}
            self.layout = replace(layout, fields=shapes)
        def encode(self, fields):
            return {name: (pages * 4).round().half() / 4 for name, pages in fields.items()}
        def decode(self, stored):
            return {name: pages.to(self.dtype) for name, pages in stored.items()}

    def model(config, *, device, dtype):
        from inferix_core.testing.toys import ToyModel
        return ToyModel(dtype=dtype)

    def planner(config):
        from inferix_core.testing.toys import ToyPlanner
        return ToyPlanner()

    def solver(config):
        from inferix_core.testing.toys import ToySolver
        return ToySolver()

    def decoder(config, **environment):
        from inferix_core.testing.toys import ToyDecoder
        return ToyDecoder()

    def drift(engine, *, seconds, num_worlds, seed_start):
        with engine.create_world("a pond", seed=seed_start) as world:
            num_frames = sum(len(block.frames) for block in world.run(seconds=seconds))
        return {"frames": float(num_frames), "worlds": float(num_worlds)}

    @hookimpl
    def inferix_models():
        preset = {
            "planner": {"use": "pond"}, "solver": {"use": "pond"}, "decoder": {"use": "pond"},
            "kv": {"policy": {"use": "last", "num_latents": 4}},
        }
        yield ModelSpec("pond", "A toy.", "plugin_acme_pond:model", preset=preset, drift="plugin_acme_pond:drift")
    @hookimpl
    def inferix_schedulers():
        yield Spec("pond", "A toy.", "plugin_acme_pond:planner")
    @hookimpl
    def inferix_solvers():
        yield Spec("pond", "A toy.", "plugin_acme_pond:solver")
    @hookimpl
    def inferix_decoders():
        yield Spec("pond", "A toy.", "plugin_acme_pond:decoder")
    @hookimpl
    def inferix_kv_policies():
        yield Spec("last", "A toy.", "plugin_acme_pond:LastPolicy", config=LastConfig)
    @hookimpl
    def inferix_kv_codecs():
        yield Spec("halves", "A toy.", "plugin_acme_pond:HalvesCodec", provides=frozenset({"lossy"}))
"""


@pytest.fixture
def catalog(install: Install) -> Catalog:
    install("acme-pond", POND)
    return Catalog.discover(only=["core", "acme-pond"])


@pytest.fixture
def config(catalog: Catalog) -> ResolvedConfig:
    return resolve({"model": {"use": "pond"}, "dtype": "float32", "num_threads": 1}, catalog)


def bill_of(config: ResolvedConfig, catalog: Catalog, *cases: str, drift: DriftRun | None = None) -> KVBill:
    return measure_kv(
        Engine.build(config, catalog),
        config,
        catalog,
        [case_of(text, config) for text in cases],
        prompt="a pond",
        num_timed_blocks=3,
        drift=drift,
    )


def test_parts_that_are_left_out_are_the_configurations(config: ResolvedConfig) -> None:
    case = case_of("//halves", config)
    assert case.tables == {
        "store": {"use": "dense"},
        "policy": {"use": "last", "num_latents": 4},
        "codec": {"use": "halves"},
    }
    assert case.label == "dense/last/halves"


def test_options_are_toml_and_lie_over_the_configurations_own(config: ResolvedConfig) -> None:
    case = case_of("dense(max_latents=9)/(num_latents=6)/none", config)
    assert case.tables["store"] == {"use": "dense", "max_latents": 9}
    assert case.tables["policy"] == {"use": "last", "num_latents": 6}
    assert case.label == "dense(max_latents=9)/last(num_latents=6)/none"
    assert case_of(case.label, config) == case
    assert case_of("/full", config).tables["policy"] == {"use": "full"}


@pytest.mark.parametrize("text", ["a/b/c/d", "paged(", "paged)x(", "dense(max_latents=)", "dense(a=1)b"])
def test_what_is_no_combination_is_an_error_with_an_example(text: str, config: ResolvedConfig) -> None:
    with pytest.raises(ConfigError, match="STORE/POLICY/CODEC"):
        case_of(text, config)


def test_by_default_every_store_and_every_codec_is_measured_under_the_own_policy(
    config: ResolvedConfig, catalog: Catalog
) -> None:
    assert [case.label for case in default_cases(config, catalog)] == ["dense/last/none", "dense/last/halves"]


def test_the_two_yardsticks_are_the_full_cache_and_the_same_policy_without_a_codec(config: ResolvedConfig) -> None:
    assert reference_case(config).label == "dense/full/none"
    assert without_codec(case_of("//halves", config), config).label == "dense/last/none"


def test_psnr_is_that_of_the_formula_and_none_where_nothing_differs() -> None:
    black = torch.zeros(2, 2, 2, 3, dtype=torch.uint8)
    error = mean_squared_error(black + 16, black)
    assert error == 256.0
    found = likeness([error, 0.0])
    assert found.psnr == pytest.approx(27.06, abs=0.01)
    assert found.psnr_by_block == (pytest.approx(24.05, abs=0.01), None)
    assert likeness([0.0]).is_same


def test_a_combination_is_charged_for_what_it_changes_and_for_nothing_else(
    config: ResolvedConfig, catalog: Catalog
) -> None:
    full, last, halves = bill_of(config, catalog, "/full", "//none", "//halves").costs
    assert full.quality.is_same
    assert full.codec_quality.is_same
    assert not last.quality.is_same
    assert last.codec_quality.is_same
    assert not halves.codec_quality.is_same
    assert last.num_world_bytes < full.num_world_bytes
    assert last.milliseconds > 0.0


def test_blocks_that_fill_the_window_are_compared_and_not_timed(config: ResolvedConfig, catalog: Catalog) -> None:
    bill = bill_of(config, catalog, "//none")
    assert (bill.num_blocks, bill.num_timed_blocks) == (3 + 3, 3)
    assert len(bill.costs[0].quality.psnr_by_block) == 6
    assert bill.costs[0].quality.psnr_by_block[0] is None  # the window holds the whole world yet


def test_combinations_that_cannot_be_are_left_out_with_the_reason(config: ResolvedConfig, catalog: Catalog) -> None:
    bill = bill_of(config, catalog, "//none", "nowhere", "/(num_latents=1)", "dense(max_latents=5)/full")
    assert [cost.label for cost in bill.costs] == ["dense/last/none"]
    unknown, bound, full = bill.refused.values()
    assert "nowhere" in unknown
    assert "num_latents" in bound
    assert "max_latents" in full  # it ran into its bound on the way, and harmed no other


def test_the_models_own_measure_of_drift_runs_with_each_combination(config: ResolvedConfig, catalog: Catalog) -> None:
    bill = bill_of(config, catalog, "//none", "//halves", drift=DriftRun(num_worlds=2, seconds=3.0))
    assert [cost.drift for cost in bill.costs] == [{"frames": 24.0, "worlds": 2.0}] * 2
    assert bill_of(config, catalog, "//none").costs[0].drift is None


def test_the_command_prints_and_writes_the_bill(
    catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERIX_PLUGINS", "core,acme-pond")
    written, plot = tmp_path / "bill.json", tmp_path / "bill.png"
    arguments = ["bench", "kv", "--model", "pond", "--set", "dtype=float32", "--blocks", "2"]
    arguments += ["--case", "//halves", "--case", "nowhere"]
    assert run([*arguments, "--json-path", str(written), "--plot", str(plot)]) == 0
    said = capsys.readouterr().out
    assert "dense/last/halves" in said
    assert "Left out: nowhere/last/none: " in said
    assert json.loads(written.read_text())["costs"][0]["quality"]["psnr"] > 0.0
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--plot", "--json-path"])
def test_a_folder_that_is_missing_is_found_before_anything_is_measured(
    option: str, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "kv", "--model", "pond", option, "nowhere/bill.png"]) == 2
    assert "there is no folder 'nowhere'" in " ".join(capsys.readouterr().err.split())
