"""`inferix bench`: measurements that anyone can repeat, printed as ratios of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(help="Measurements in pairs, printed as ratios of one run.", no_args_is_help=True)


@bench.command("engine")
def engine_share(
    model: Annotated[str | None, typer.Option(help="The model to measure; default: a mid-size random Wan and the default model.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file for the model that is measured.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Configuration overrides key=value.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of blocks, after the warm ones.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the tensor library.")] = 1,
) -> None:
    """How much of a block's time the engine takes beside the network and the decoder."""
    from inferix_core.bench.report import print_engine_shares

    print_engine_shares(model=model, config=config, overrides=overrides or [], num_pairs=pairs, num_threads=threads)
