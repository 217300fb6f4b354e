"""`inferix parallel explain` over models of other packages."""

import json

import pytest
from inferix_core.cli.application import run
from inferix_core.workload import configured_workload
from ranked_engines import alone


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert run(["parallel", "explain", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_eight_ranks_of_a_model_of_twelve_heads_cut_tokens_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(capsys, "--ranks", "8", "--model", "self-forcing", "--size", "480x832")
    assert found["chosen"]["strategy"] == "hybrid"
    refused = next(one for one in found["candidates"] if one["strategy"] == "ulysses")
    assert "1, 2, 3, 4, 6 or 12 would work" in refused["reason"]
    assert "milliseconds" not in refused


def test_a_larger_frame_takes_longer(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = (
        explained(capsys, "--ranks", "4", "--model", "self-forcing", "--size", size)["chosen"]
        for size in ("480x832", "720x1280")
    )
    assert large["milliseconds"] > 2 * small["milliseconds"]
    assert large["kv_bytes"] > 2 * small["kv_bytes"]


def test_tables_name_every_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["parallel", "explain", "--ranks", "4", "--model", "tinyworld", "--topology", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("none", "ulysses", "ring", "hybrid 2 x 2", "pipeline", "Chosen"))


def test_blocks_in_flight_make_a_pipeline_a_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(capsys, "--ranks", "4", "--model", "magi")
    staged = next(one for one in found["candidates"] if one["strategy"] == "pipeline")
    assert 0 < staged["kv_bytes"] < next(one for one in found["candidates"] if one["strategy"] == "none")["kv_bytes"]


@pytest.mark.parametrize("model", ["tinyworld", "self-forcing", "magi"])
def test_an_outline_is_what_the_built_model_is(model: str) -> None:
    overrides = [f"model.use={model}", *([] if model == "tinyworld" else ["model.preset=tiny-random"])]
    outline = configured_workload(config={}, overrides=overrides).outline
    parts = alone(lambda engine: engine.parts, *overrides)
    assert outline.layout == parts.model.layout
    assert outline.geometry == parts.model.geometry
    assert outline.num_heads == parts.model.num_heads
    matrices = sum(p.numel() for p in parts.model.transformer.parameters() if p.ndim > 1)
    assert outline.num_weights == pytest.approx(matrices, rel=0.01)
