"""Configured engines on several ranks, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from inferix_core import Engine
from inferix_core.catalog import Catalog
from inferix_core.configuration import apply_overrides, resolve
from inferix_core.contracts.parallel import Ranks
from inferix_core.ranks.joining import Membership
from inferix_core.ranks.line import Line
from inferix_core.runtime.building import build_parts
from inferix_core.testing.ranks import on_driven_ranks
from torch import Tensor

SETTINGS = ("num_threads=1", "num_decoder_threads=1", "dtype=float32", "device=cpu")
TINY = ("model.use=self-forcing", "model.preset=tiny-random")


@cache
def catalog() -> Catalog:
    return Catalog.discover()


def engine_on(membership: Membership, *overrides: str) -> Engine:
    """The configured engine of one rank."""
    config = resolve(apply_overrides({}, [*SETTINGS, *overrides]), catalog())
    parts, decoder = build_parts(config, catalog(), membership=membership, dtype=torch.float32)
    settings = config.run.world.num_rewind_blocks
    return Engine(parts, decoder, num_rewind_blocks=settings, config=config, catalog=catalog(), membership=membership)


def alone(script: Callable[[Engine], Any], *overrides: str) -> Any:
    """What a script returns in one process without ranks."""
    engine = engine_on(Membership(Ranks(0, 1, torch.device("cpu"))), *overrides)
    return script(engine)


def driven(num_ranks: int, script: Callable[[Engine], Any], *overrides: str) -> Any:
    """What a script returns on the driver of several ranks."""

    def body(ranks: Ranks, line: Line) -> Any:
        engine = engine_on(Membership(ranks, line), *overrides)
        if engine.follows:
            engine.follow()
            return None
        try:
            return script(engine)
        finally:
            engine.close()

    return on_driven_ranks(num_ranks, body, timeout_seconds=100.0)[0]


def run(num_ranks: int, script: Callable[[Engine], Any], *overrides: str) -> Any:
    return driven(num_ranks, script, *overrides) if num_ranks > 1 else alone(script, *overrides)


def first_block(engine: Engine) -> Tensor:
    """Clean latents of a new world's first block."""
    world = engine.create_world("a red ball bounces", seed=5)
    world.step()
    return torch.stack(list(world.state.committed.values()))


def assert_close(found: Tensor, expected: Tensor, *, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0.0)
