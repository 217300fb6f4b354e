"""Several ranks of one command line on this machine, started as torchrun starts them."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence

_FAILURE, _INTERRUPTED = 1, 130
_SECONDS_TO_END = 120
"""How long ranks have after Ctrl-C to finish their block and save their world."""


def run_ranks(arguments: Sequence[str], *, num_ranks: int) -> int:
    """Runs `inferix` with these arguments as `num_ranks` ranks and waits; the exit code of the first that failed, or 0.

    Each rank computes in one thread unless OMP_NUM_THREADS says otherwise. Ctrl-C is handed on to the ranks, which have
    a while to end the run.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_SECONDS_TO_END))
    for name in logging.root.manager.loggerDict:
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what failed is said by the ranks
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_ranks,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=f"inferix-{os.getpid()}",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "inferix_core.cli", *arguments)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else _FAILURE
    except SignalException as stopped:
        return _INTERRUPTED if stopped.sigval == signal.SIGINT else _FAILURE
    return 0
