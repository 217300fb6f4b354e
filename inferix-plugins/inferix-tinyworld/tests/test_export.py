"""What the export puts into the package."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from inferix_tinyworld.train.export import main
from safetensors.torch import load_file, save_file


def test_weights_become_bfloat16_and_nothing_names_the_machine_that_trained(tmp_path: Path) -> None:
    work, target = tmp_path / "work", tmp_path / "weights"
    work.mkdir()
    for name in ("dit", "vae"):
        save_file({"a": torch.arange(3.0)}, work / f"{name}.safetensors")
        (work / f"{name}.json").write_text("{}")
        (work / f"{name}.settings.json").write_text(json.dumps({"work_dir": "/home/someone", "seed": 3}))
    (work / "log.txt").write_text("10:00:00 dit step 25  loss 1.0\na remark\n10:00:01 vae: start at step 0 of 5\n")
    assert main(["--work-dir", str(work), "--vae-dir", str(work), "--to", str(target)]) == 0
    assert load_file(target / "dit.safetensors")["a"].dtype == torch.bfloat16
    assert json.loads((target / "config.json").read_text()) == {"vae": {"seed": 3}, "dit": {"seed": 3}}
    assert (target / "training_log.txt").read_text().splitlines() == [
        "10:00:00 dit step 25  loss 1.0",
        "10:00:01 vae: start at step 0 of 5",
    ]
