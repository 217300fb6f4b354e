"""The public TAEHV and ours make the same frames and latents, and would not if a part were wrong."""

from pathlib import Path

import check
import pytest
import torch
from folder import read_cases
from inferix_wan.tiny_vae.layers import SoftClamp
from inferix_wan.tiny_vae.model import TinyVae
from outcome import Verdict

CASES = {case.name: case for case in read_cases(Path(__file__).parent / "taehv")}


def verdict(name: str) -> Verdict:
    (result,) = check.run_cases([CASES[name]])
    return result.verdict


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_case_agrees(name: str) -> None:
    (result,) = check.run_cases([CASES[name]])
    assert result.verdict is Verdict.PASSED, (result.reason, result.worst)


def test_a_case_without_the_soft_clamp_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SoftClamp, "forward", lambda self, x: x)
    assert verdict("taew2_1_d4") is Verdict.FAILED


@pytest.mark.parametrize("side", ["decode", "encode"])
def test_a_case_without_its_memory_fails(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = getattr(TinyVae, side)

    def forgetting(self: TinyVae, x: torch.Tensor, state: tuple[torch.Tensor, ...] | None = None):  # type: ignore[no-untyped-def]
        made, kept = run(self, x, state)
        num_waiting = 1 if side == "encode" else 0
        return made, (*kept[:num_waiting], *map(torch.zeros_like, kept[num_waiting:]))

    monkeypatch.setattr(TinyVae, side, forgetting)
    assert verdict("taew2_1_d4") is Verdict.FAILED
