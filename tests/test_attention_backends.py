"""What an engine does with an attention backend that cannot run."""

import sys
from pathlib import Path

import pytest
from inferix_core.cli.application import run


def test_a_backend_that_cannot_run_ends_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "flash_attn", None)  # importing it raises
    target = tmp_path / "ball.npy"
    given = ["generate", "a red ball", "--model", "tinyworld", "--seconds", "1", "--set", "attention.use=flash"]
    assert run([*given, "-o", str(target)]) == 2
    assert "flash-attn cannot be imported" in capsys.readouterr().err
    assert not target.exists()
