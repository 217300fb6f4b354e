"""A real server over the embedded world."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def inferix_serve(folder: Path, *options: str) -> Iterator[str]:
    """The address of `inferix serve` in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in ("INFERIX_TOKEN", "OMP_NUM_THREADS")}
    process = subprocess.Popen(
        [sys.executable, "-m", "inferix_core.cli", "serve", "--port", "0", "--folder", str(folder), *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "GOMP_SPINCOUNT": "0"},
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "Open http" in line)
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(60)
