"""`python -m inferix_tinyworld.train.export`: puts finished weights, their settings and logs into the package."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from inferix_tinyworld.shipped import FOLDER, NETWORK, VAE

STAGES = ("vae", "vae-decoder", "dit")
PATH_SETTINGS = ("work_dir", "vae_dir")
"""Settings that are left out: they name folders of the machine that trained."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports and says how large the result is."""
    parser = argparse.ArgumentParser(prog="python -m inferix_tinyworld.train.export", description=__doc__)
    parser.add_argument("--work-dir", type=Path, required=True, help="folder of the dit stage")
    parser.add_argument("--vae-dir", type=Path, required=True, help="folder of the VAE stages")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder of the exported files (default: the package)")
    options = parser.parse_args(arguments)
    options.to.mkdir(parents=True, exist_ok=True)
    for folder, name in ((options.work_dir, NETWORK), (options.vae_dir, VAE)):
        write_bfloat16(folder / name, options.to / name)
        shutil.copyfile((folder / name).with_suffix(".json"), (options.to / name).with_suffix(".json"))
    write_settings((options.vae_dir, options.work_dir), options.to / "config.json")
    write_log((options.vae_dir, options.work_dir), options.to / "training_log.txt")
    num_bytes = sum((options.to / name).stat().st_size for name in (NETWORK, VAE))
    Console(soft_wrap=True).print(f"{options.to}: {num_bytes / 1e6:.1f} MB of weights", markup=False, highlight=False)
    return 0


def write_bfloat16(source: Path, target: Path) -> None:
    """The tensors of a safetensors file in bf16, under a temporary name first."""
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in load_file(source).items()}
    temporary = target.with_suffix(".tmp")
    save_file(tensors, temporary)
    temporary.chmod(0o644)  # safetensors writes for the owner alone
    temporary.replace(target)


def write_settings(folders: Sequence[Path], target: Path) -> None:
    """The settings of every stage that was run, in one JSON file."""
    found = {}
    for stage in STAGES:
        for folder in folders:
            path = folder / f"{stage}.settings.json"
            if path.is_file():
                settings = json.loads(path.read_text())
                found[stage] = {key: value for key, value in settings.items() if key not in PATH_SETTINGS}
    target.write_text(json.dumps(found, indent=1) + "\n")


def write_log(folders: Sequence[Path], target: Path) -> None:
    """The logs one after the other: what the stages themselves wrote."""
    ours = re.compile(rf"^\d\d:\d\d:\d\d ({'|'.join(STAGES)})[: ]")
    lines = []
    for folder in dict.fromkeys(folders):
        path = folder / "log.txt"
        if path.is_file():
            lines += [line for line in path.read_text().splitlines() if ours.match(line)]
    target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
