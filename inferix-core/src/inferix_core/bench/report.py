"""Runs the engine bench on the cases that were asked for and prints the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from inferix_core.bench.engine_share import measure_engine_share
from inferix_core.catalog import Catalog
from inferix_core.errors import ConfigError
from inferix_core.runtime.engine import Engine
from inferix_core.specs import Kind

PROMPT = "a red ball bounces at sunset"
_MID_SIZE = ("self-forcing", ("model.preset=mid", "model.weights=random"))
_TINY = ("tinyworld", ())


def print_engine_shares(
    *,
    model: str | None,
    config: Path | None,
    overrides: Sequence[str],
    num_pairs: int,
    num_threads: int,
) -> None:
    """Measures the named model, or the mid-size random Wan and the tiny world as far as they are installed."""
    torch.set_num_threads(num_threads)
    catalog = Catalog.discover()
    cases: list[tuple[str | None, tuple[str, ...]]] = [(model, tuple(overrides))]
    if model is None and config is None:
        installed = {component.spec.name for component in catalog.components(Kind.MODEL)}
        cases = [(name, (*fixed, *overrides)) for name, fixed in (_MID_SIZE, _TINY) if name in installed]
    if not cases:
        raise ConfigError("No model to measure is installed. pip install inferix-wan, or name one with --model.")
    table = Table("model", "pairs", "bare ms/block", "engine ms/block", "engine's share")
    for name, extra in cases:
        engine = Engine.load(name, config=config, overrides=extra, catalog=catalog)
        warm = _num_warm_blocks(engine)
        share = measure_engine_share(engine, prompt=PROMPT, num_pairs=num_pairs, num_warm_blocks=warm)
        table.add_row(
            " ".join([name or "default", *extra]),
            str(share.num_pairs),
            f"{share.bare_milliseconds:.1f}",
            f"{share.engine_milliseconds:.1f}",
            f"{share.share:+.2%}",
        )
    Console().print(table)


def _num_warm_blocks(engine: Engine) -> int:
    """As many blocks as fill the window, so that every measured block is like the next."""
    num_block_latents = engine.parts.planner.num_block_latents
    capacity = engine.parts.policy.capacity(num_block_latents) or num_block_latents
    return -(-capacity // num_block_latents) + 1
