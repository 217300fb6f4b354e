"""The golden cases of MAGI-1 agree with what our public classes make of them, and would not if a part were wrong."""

from dataclasses import replace
from pathlib import Path

import check
import pytest
import torch
from folder import read_cases
from inferix_magi.captions import Captions
from inferix_magi.transformer import attention, rotary, transformer
from outcome import Verdict

FOLDER = Path(__file__).parent / "magi"
CASES = {case.name: case for case in read_cases(FOLDER) if case.path.is_file() and not case.is_table}


def verdict(name: str) -> Verdict:
    (result,) = check.run_cases([CASES[name]])
    return result.verdict


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_case_agrees(name: str) -> None:
    (result,) = check.run_cases([CASES[name]])
    assert result.verdict is Verdict.PASSED, (result.reason, result.worst)


def test_the_cases_of_the_transformer_are_all_here() -> None:
    assert {
        "dit_units",
        "dit_fwd_45b_style",
        "dit_fwd_24b_style",
        "dit_kv_cache",
        "dit_guidance",
        "dit_distill_dt",
        "dit_bf16_informative",
        "e2e_base_45b",
        "e2e_distill_24b",
        "transport_fake_velocity",
    } <= CASES.keys()


def test_a_case_whose_branches_do_not_take_turns_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "NUM_INTERLEAVED", 4)
    assert verdict("dit_fwd_45b_style") is Verdict.FAILED


def test_a_case_of_another_grid_extent_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotary, "_REFERENCE_AREA", 255)
    assert verdict("dit_kv_cache") is Verdict.FAILED


def test_a_case_whose_branch_without_text_is_mistaken_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "NULL", "no such branch")
    assert verdict("dit_guidance") is Verdict.FAILED


def test_a_video_without_its_durations_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Captions, "_duration", lambda self, num_blocks_left: ())
    assert verdict("e2e_base_45b") is Verdict.FAILED


@pytest.mark.parametrize("name", ["dit_distill_dt", "e2e_distill_24b"])
def test_a_case_that_is_not_told_the_size_of_its_steps_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = transformer.MagiTransformer.condition

    def untold(self: transformer.MagiTransformer, given: transformer.PassInput) -> torch.Tensor:
        return embed(self, replace(given, step_size=None))

    monkeypatch.setattr(transformer.MagiTransformer, "condition", untold)
    assert verdict(name) is Verdict.FAILED
