"""Two ways of making a block, stepped in turn in one run: what a busy machine does to one it does to the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from inferix_core.errors import ConfigError, PlanError
from inferix_core.plan import Progress

if TYPE_CHECKING:
    from inferix_core.runtime.engine import Engine

Step = Callable[[], object]


def paired_seconds(
    first: Step, second: Step, *, num_pairs: int, device: torch.device
) -> tuple[list[float], list[float]]:
    """The seconds of each step, pair by pair: process CPU time; on CUDA the wall time between synchronisations."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for index in range(num_pairs):
        order = (1, 0) if index % 2 else (0, 1)  # whoever goes first finds colder caches: take turns
        for which in order:
            seconds[which].append(_seconds((first, second)[which], device))
    return seconds


def check_goes_on(engine: Engine) -> None:
    """Raises `ConfigError` for a planner that makes a single clip: it has no steady block to measure."""
    try:
        goes_on = bool(engine.parts.planner.plan(Progress(num_finished=1)))
    except PlanError:
        goes_on = False
    if not goes_on:
        raise ConfigError(
            "The blocks of a world that goes on were to be measured, but this planner makes a single clip. "
            "Choose a model that makes block after block, e.g. self-forcing."
        )


def num_blocks_to_fill(engine: Engine) -> int:
    """After so many blocks the policy's window is full, and every block is like the next."""
    num_block_latents = engine.parts.planner.num_block_latents
    capacity = engine.parts.policy.capacity(num_block_latents) or num_block_latents
    return -(-capacity // num_block_latents) + 1


def _seconds(step: Step, device: torch.device) -> float:
    on_cuda = device.type == "cuda"
    clock = time.perf_counter if on_cuda else time.process_time
    if on_cuda:
        torch.cuda.synchronize(device)
    start = clock()
    step()
    if on_cuda:
        torch.cuda.synchronize(device)
    return clock() - start
