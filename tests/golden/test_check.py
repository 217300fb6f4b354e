"""The golden checker passes what is right, fails what is not, and never passes what it did not run."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import check
import pytest
import torch
from comparison import compare_json, compare_tensors
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
TRANSPORT = "transport_fake_velocity"


@pytest.fixture
def magi(tmp_path: Path) -> Path:
    """A copy of the MAGI-1 folder that a test may damage."""
    return Path(shutil.copytree(HERE / "magi", tmp_path / "magi"))


def edit(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def lines(text: str, verdict: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"{verdict} ")]


def test_everything_in_the_magi_folder_is_run_and_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(HERE / "magi")]) == 0
    passed = {line.split()[1] for line in lines(capsys.readouterr().out, "passed")}
    tables = {path.name for path in (HERE / "magi").glob("*.json*")} - {"index.json"}
    assert passed == {path.stem for path in (HERE / "magi").glob("*.safetensors")} | tables


def test_everything_in_the_wan_folder_is_run_and_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(HERE / "wan")]) == 0
    passed = {line.split()[1] for line in lines(capsys.readouterr().out, "passed")}
    tensors = {path.stem for path in (HERE / "wan").glob("*.safetensors")}
    manifests = {path.name for path in (HERE / "wan").glob("manifest_*")}
    assert passed == tensors | manifests
    assert tensors
    assert manifests


def test_an_altered_output_in_the_other_format_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "sf_causal_rollout_window"
    tensors = load_file(HERE / "wan" / f"{name}.safetensors")
    tensors["out.call4.x0"][0, 0, 0, 0, 0] += 1e-2
    save_file(tensors, tmp_path / f"{name}.safetensors")
    index = json.loads((HERE / "wan" / "index.json").read_text())
    entry = next(case for case in index["cases"] if case["name"] == name)
    del entry["sha256"]
    (tmp_path / "index.json").write_text(json.dumps({"cases": [entry]}))
    assert check.main([str(tmp_path)]) == 1
    assert "worst call4.x0" in lines(capsys.readouterr().out, "FAILED")[0]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("umt5_xxl_encoder", lambda tensors: tensors.pop("blocks.23.pos_embedding.embedding.weight")),
        ("umt5_xxl_encoder", lambda tensors: tensors.update({"blocks.24.norm1.weight": [[4096], "float32"]})),
        ("clip_xlm_roberta_vit_h_14", lambda tensors: tensors.pop("visual.transformer.0.attn.proj.bias")),
        ("clip_xlm_roberta_vit_h_14", lambda tensors: tensors["visual.pos_embedding"][0].__setitem__(1, 256)),
        (
            "self_forcing_generator",
            lambda tensors: tensors.update({"head.head.bias": tensors.pop("model.head.head.bias")}),
        ),
    ],
)
def test_a_manifest_with_a_tensor_less_more_or_otherwise_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, change: Any
) -> None:
    file = f"manifest_{name}.json.gz"
    table = json.loads(gzip.decompress((HERE / "wan" / file).read_bytes()))
    change(table["tensors"])
    (tmp_path / file).write_bytes(gzip.compress(json.dumps(table).encode()))
    (tmp_path / "index.json").write_text(json.dumps({"cases": [], "manifests": {file: {}}}))
    assert check.main([str(tmp_path)]) == 1
    assert "tensors" in lines(capsys.readouterr().out, "FAILED")[0]


def test_an_altered_tensor_fails_and_is_named(magi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = magi / f"{TRANSPORT}.safetensors"
    tensors = load_file(path)
    tensors["v2v_prefix8.chunk3"][0, 1, 2, 3, 0] += 1e-3
    save_file(tensors, path)
    assert check.main([str(magi), "--only", TRANSPORT]) == 1
    (line,) = lines(capsys.readouterr().out, "FAILED")
    assert "v2v_prefix8.chunk3" in line
    assert "1.00e-03" in line


@pytest.mark.parametrize("key", ["kv_range_in_chunks", "t", "slice_point", "fwd_extra_1st_chunk", "caption_tokens"])
def test_an_altered_forward_of_a_table_fails(magi: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    def change(content: Any) -> None:
        del content["runs"][1:]
        forward = content["runs"][0]["steps"][8]["forwards"][0]
        altered = {"kv_range_in_chunks": [[0.0, 1.0]], "t": [0.9999, 0.3, 0.1, 0.0217], "slice_point": 1}
        forward[key] = altered.get(key, False if key == "fwd_extra_1st_chunk" else [11] * 8)

    edit(magi / "transport_tables.json", change)
    assert check.main([str(magi), "--only", "transport_tables.json"]) == 1
    (line,) = lines(capsys.readouterr().out, "FAILED")
    assert f"first difference .steps[8].forwards[0].{key}" in line


@pytest.mark.parametrize("key", ["init_t", "init_interval", "generate_sequences", "cfg_scale"])
def test_an_altered_schedule_fails(magi: Path, key: str) -> None:
    def change(content: Any) -> None:
        row = content[key][0]
        name = {"init_t": "t", "init_interval": "interval", "generate_sequences": "t_end", "cfg_scale": "text_scale"}[
            key
        ]
        row[name][1] += 1

    edit(magi / "schedule_functions.json", change)
    assert check.main([str(magi), "--only", "schedule*"]) == 1


def test_runs_and_dims_are_taken_from_the_folder(magi: Path) -> None:
    path = magi / f"{TRANSPORT}.safetensors"
    tensors = {
        name: tensor.repeat(1, 1, 1, 2, 3) if tensor.ndim == 5 else tensor
        for name, tensor in load_file(path).items()
        if name.startswith("t2v_4chunks_w1.")
    }
    save_file(tensors, path)
    assert check.main([str(magi), "--only", TRANSPORT]) == 0
    tensors["t2v_4chunks_w1.noise"] = tensors["t2v_4chunks_w1.noise"][..., :4].contiguous()
    save_file(tensors, path)
    assert check.main([str(magi), "--only", TRANSPORT]) == 1


def test_what_has_no_runner_is_unsupported_and_not_passed(magi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = json.loads((magi / "index.json").read_text())
    index["cases"].append({"case": "later", "file": f"{TRANSPORT}.safetensors"})
    (magi / "index.json").write_text(json.dumps(index))
    assert check.main([str(magi), "--only", "later"]) == 0
    out = capsys.readouterr().out
    assert lines(out, "unsupported") == ["unsupported  later  no runner for this case yet"]
    assert "1 cases: 0 passed, 0 FAILED, 1 unsupported" in out


def test_a_file_that_is_not_there_is_absent_and_not_passed(magi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (magi / f"{TRANSPORT}.safetensors").unlink()
    assert check.main([str(magi), "--only", TRANSPORT]) == 0
    assert lines(capsys.readouterr().out, "absent")


def test_a_file_with_another_checksum_than_the_index_gives_is_a_failure(
    magi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256((magi / f"{TRANSPORT}.safetensors").read_bytes()).hexdigest()

    def set_digest(value: str) -> None:
        def change(index: Any) -> None:
            next(case for case in index["cases"] if case["case"] == TRANSPORT)["sha256"] = value

        edit(magi / "index.json", change)

    set_digest(digest)
    assert check.main([str(magi), "--only", TRANSPORT]) == 0
    set_digest("0" * 64)
    assert check.main([str(magi), "--only", TRANSPORT]) == 1
    assert "damaged file" in lines(capsys.readouterr().out, "FAILED")[0]


def test_a_runner_that_raises_is_a_failure_and_the_other_cases_still_run(
    magi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (magi / "transport_tables.json").write_text("{}")
    assert check.main([str(magi)]) == 1
    out = capsys.readouterr().out
    assert any("KeyError" in line for line in lines(out, "FAILED"))
    assert any("schedule_functions.json" in line for line in lines(out, "passed"))


def test_every_output_is_printed_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    check.main([str(HERE / "magi"), "--only", TRANSPORT, "--verbose"])
    good = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    good")]
    assert len(good) == 78


@pytest.mark.parametrize("content", [None, "no json", "{}", '{"cases": [1]}', '{"cases": [{"file": "x"}]}'])
def test_a_folder_that_cannot_be_used_exits_with_2(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "index.json").write_text(content)
    assert check.main([str(tmp_path)]) == 2


def test_a_pattern_that_matches_nothing_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(HERE / "magi"), "--only", "nothing*"]) == 2
    assert "matches 'nothing*'" in capsys.readouterr().err


def test_the_checker_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, HERE / "check.py", HERE / "no-such-folder"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not a folder" in done.stderr


def test_the_rule_is_absolute_plus_relative_and_an_outputs_own_tolerance_replaces_the_absolute_one() -> None:
    tolerance = {"atol": 0.1, "rtol": 0.01, "atol_per_output": {"strict": 0.0}}
    expected = {"loose": torch.tensor([10.0]), "strict": torch.tensor([10.0])}
    got = {name: torch.tensor([10.15]) for name in expected}
    assert [one.is_good for one in compare_tensors(got, expected, tolerance)] == [True, False]


@pytest.mark.parametrize(
    "got",
    [
        {},
        {"x": torch.tensor([1.0, float("nan")])},
        {"x": torch.tensor([1.0, float("inf")])},
        {"x": torch.tensor([[1.0, 2.0]])},
    ],
)
def test_what_is_missing_or_not_finite_or_misshapen_fails(got: dict[str, torch.Tensor]) -> None:
    (result,) = compare_tensors(got, {"x": torch.tensor([1.0, 2.0])}, {"atol": 1e9})
    assert not result.is_good


def test_integers_are_exact_whatever_the_tolerance() -> None:
    expected = {"x": torch.tensor([1, 2, 3])}
    assert not compare_tensors({"x": torch.tensor([1, 2, 4])}, expected, {"atol": 10.0})[0].is_good
    assert not compare_tensors({"x": torch.tensor([1.0, 2.0, 3.0])}, expected, {"atol": 10.0})[0].is_good
    assert compare_tensors({"x": torch.tensor([1, 2, 3])}, expected, {})[0].is_good


def test_tables_are_compared_exactly_and_keys_may_neither_be_missing_nor_added() -> None:
    table = {"note": "any", "rows": [{"a": 1.0, "b": [True, None]}]}
    assert all(one.is_good for one in compare_json(table, table))
    for row in (
        {"a": 1.0},
        {"a": 1.0 + 1e-12, "b": [True, None]},
        {"a": 1.0, "b": [1, None]},
        {**table["rows"][0], "c": 1},
    ):
        assert not all(one.is_good for one in compare_json({"rows": [row]}, table))
    assert not all(one.is_good for one in compare_json({"rows": []}, table))


def test_a_table_with_words_beside_it_is_compared_as_a_whole() -> None:
    table = {"applies_to": ["large"], "tensors": {"weight": [[2, 3], "float32"]}}
    assert all(one.is_good for one in compare_json(table, table))
    assert not all(one.is_good for one in compare_json({**table, "tensors": {}}, table))


@pytest.mark.parametrize(("changed", "is_good"), [({5: 1}, True), ({5: 2}, False), (dict.fromkeys(range(9), 1), False)])
def test_a_few_pixels_may_be_one_off_where_the_case_allows_it(changed: dict[int, int], is_good: bool) -> None:
    wanted = torch.full((5000,), 100, dtype=torch.uint8)
    got = wanted.clone()
    for place, difference in changed.items():
        got[place] += difference
    assert compare_tensors({"x": got}, {"x": wanted}, {"uint8": "some"})[0].is_good == is_good
    assert not compare_tensors({"x": got}, {"x": wanted}, {})[0].is_good
