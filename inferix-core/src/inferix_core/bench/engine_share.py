"""What the engine adds to the network and the decoder, measured in pairs of blocks in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch

from inferix_core.bench.bare import BareBlocks
from inferix_core.runtime.threads import cpu_threads

if TYPE_CHECKING:
    from inferix_core.runtime.engine import Engine


@dataclass(frozen=True, slots=True)
class EngineShare:
    """Medians over pairs of blocks: milliseconds of a block alone and in the engine, and the engine's share."""

    num_pairs: int
    bare_milliseconds: float
    engine_milliseconds: float
    share: float


def measure_engine_share(engine: Engine, *, prompt: str, num_pairs: int) -> EngineShare:
    """Steps the engine and the bare sequence in turn and compares the CPU time of each pair.

    Before the first pair both make as many blocks as fill the window, so that every pair is like the next.

    The share is the median over pairs of 1 - bare / engine. Process CPU time is what a busy machine leaves
    comparable; on CUDA the wall time between synchronisations is used.
    """
    bare_seconds: list[float] = []
    engine_seconds: list[float] = []
    threads = cpu_threads(engine.threads.network)  # for the bare sequence; the engine sets its own
    with torch.inference_mode(), threads, engine.create_world(prompt) as world:
        bare = BareBlocks(engine.parts, engine.decoder, prompt=prompt)
        for _ in range(_num_blocks_to_fill(engine)):
            world.step()
            bare.step()
        for index in range(num_pairs):
            if index % 2:  # whoever goes first finds colder caches: take turns
                engine_seconds.append(_seconds(world.step, engine.device))
                bare_seconds.append(_seconds(bare.step, engine.device))
            else:
                bare_seconds.append(_seconds(bare.step, engine.device))
                engine_seconds.append(_seconds(world.step, engine.device))
    shares = [1.0 - alone / whole for alone, whole in zip(bare_seconds, engine_seconds, strict=True)]
    return EngineShare(num_pairs, 1000.0 * median(bare_seconds), 1000.0 * median(engine_seconds), median(shares))


def _num_blocks_to_fill(engine: Engine) -> int:
    num_block_latents = engine.parts.planner.num_block_latents
    capacity = engine.parts.policy.capacity(num_block_latents) or num_block_latents
    return -(-capacity // num_block_latents) + 1


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    on_cuda = device.type == "cuda"
    clock = time.perf_counter if on_cuda else time.process_time
    if on_cuda:
        torch.cuda.synchronize(device)
    start = clock()
    step()
    if on_cuda:
        torch.cuda.synchronize(device)
    return clock() - start
