"""`inferix bench engine`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from inferix_core.cli.bench.options import EngineChoice, JsonOption, chooses_engine, print_json
from inferix_core.cli.session import Session


@chooses_engine
def engine(
    context: typer.Context,
    choice: EngineChoice,
    pairs: Annotated[
        int, typer.Option(min=1, help="Pairs of blocks to compare, after those that fill the window.")
    ] = 10,
    as_json: JsonOption = False,
) -> None:
    """Measure the engine's share of a block: the loop against the bare network calls and decodes.

    Without a model: a mid-size Wan with random weights, and the embedded world.
    """
    session: Session = context.obj
    choices = choice.or_usual(session.catalog)
    configurations = [one.resolved(session.catalog) for one in choices]
    from inferix_core.bench.engine_share import measure_engine_share
    from inferix_core.runtime.engine import Engine

    for one, configuration in zip(choices, configurations, strict=True):
        built = Engine.build(configuration, session.catalog)
        share = measure_engine_share(built, prompt=one.prompt, num_pairs=pairs)
        if as_json:
            print_json({"model": one.title(configuration), **asdict(share)})
        else:
            typer.echo(
                f"{one.title(configuration)}: the engine's share of a block is {share.share:.1%} "
                f"({share.engine_milliseconds:.1f} ms with it, {share.bare_milliseconds:.1f} ms without; "
                f"medians of {share.num_pairs} pairs)"
            )
