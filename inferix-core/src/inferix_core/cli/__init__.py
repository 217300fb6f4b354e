"""The command line."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs `inferix` with the program's arguments and exits with its code."""
    # OpenMP reads this when torch is loaded: spinning threads make a busy machine tens of times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from inferix_core.cli.application import run

    sys.exit(run(sys.argv[1:]))
