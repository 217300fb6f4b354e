"""`inferix bench`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from inferix_core.cli.choices import ConfigOption, ModelOption, PresetOption, SetOption, ThreadsOption, resolved
from inferix_core.cli.session import Session

application = typer.Typer(help="Measure on this machine.", no_args_is_help=True)


@application.callback()
def _bench() -> None:
    """Measure on this machine."""


@application.command()
def engine(
    context: typer.Context,
    prompt: Annotated[str, typer.Option(help="What the world shows meanwhile.")] = "a red ball bounces",
    model: ModelOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of blocks to compare.")] = 10,
    warm: Annotated[int, typer.Option(min=0, help="Blocks to make before measuring.")] = 3,
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the engine's share of a block: the loop against the bare network calls and decodes."""
    session: Session = context.obj
    configuration = resolved(
        session.catalog, config=config, model=model, preset=preset, seed=None, threads=threads, overrides=overrides
    )
    import torch

    from inferix_core.bench.engine_share import measure_engine_share
    from inferix_core.runtime.engine import Engine

    if configuration.run.num_threads is not None:
        torch.set_num_threads(configuration.run.num_threads)
    share = measure_engine_share(
        Engine.build(configuration, session.catalog), prompt=prompt, num_pairs=pairs, num_warm_blocks=warm
    )
    if as_json:
        typer.echo(json.dumps({"model": configuration.model.name, **asdict(share)}))
    else:
        typer.echo(
            f"{configuration.model.name}: the engine's share of a block is {share.share:.1%} "
            f"({share.engine_milliseconds:.1f} ms with it, {share.bare_milliseconds:.1f} ms without; "
            f"medians of {share.num_pairs} pairs)"
        )
