"""What the engine adds to the network and the decoder, measured in pairs of blocks in one run."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch

from inferix_core.bench.bare import BareBlocks
from inferix_core.bench.pairs import num_blocks_to_fill, paired_seconds
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
    """Steps the engine and the bare sequence in turn and compares the time of each pair (see `paired_seconds`).

    Before the first pair both make as many blocks as fill the window, so that every pair is like the next.
    The share is the median over pairs of 1 - bare / engine.
    """
    threads = cpu_threads(engine.threads.network)  # for the bare sequence; the engine sets its own
    with torch.inference_mode(), threads, engine.create_world(prompt) as world:
        bare = BareBlocks(engine.parts, engine.decoder, prompt=prompt)
        for _ in range(num_blocks_to_fill(engine)):
            world.step()
            bare.step()
        bare_seconds, engine_seconds = paired_seconds(bare.step, world.step, num_pairs=num_pairs, device=engine.device)
    shares = [1.0 - alone / whole for alone, whole in zip(bare_seconds, engine_seconds, strict=True)]
    return EngineShare(num_pairs, 1000.0 * median(bare_seconds), 1000.0 * median(engine_seconds), median(shares))
