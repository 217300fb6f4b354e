"""`python -m inferix_tinyworld.train STAGE [options]`: sends each stage to its module."""

from __future__ import annotations

import importlib
import sys

from rich.console import Console

STAGES = {
    "vae": ("inferix_tinyworld.train.vae_stages", "train_autoencoder"),
    "vae-decoder": ("inferix_tinyworld.train.vae_stages", "train_decoder"),
    "dit": ("inferix_tinyworld.train.dit", "main"),
}
"""Name of a stage -> module and function, called with the remaining arguments. In the order of `all`."""


def main(arguments: list[str]) -> int:
    """Runs the stage that the first argument names; returns the exit code."""
    if not arguments or arguments[0] not in (*STAGES, "all"):
        usage = f"usage: python -m inferix_tinyworld.train {{{','.join((*STAGES, 'all'))}}} [--help]"
        Console(stderr=True).print(usage, markup=False, highlight=False, soft_wrap=True)
        return 2
    stage, *rest = arguments
    for name in STAGES if stage == "all" else (stage,):
        module, function = STAGES[name]
        getattr(importlib.import_module(module), function)(rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
