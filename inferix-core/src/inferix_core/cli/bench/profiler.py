"""`inferix bench profiler`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from inferix_core.cli.bench.options import EngineChoice, JsonOption, chooses_engine, print_json
from inferix_core.cli.session import Session
from inferix_core.configuration import Selected, validated
from inferix_core.specs import Kind


@chooses_engine
def profiler(
    context: typer.Context,
    choice: EngineChoice,
    use: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A profiler; default: those of the configuration, or all.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of blocks to compare.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Measure what profilers add to a block: two worlds of one model in turn, one of them profiled."""
    session: Session = context.obj
    configuration = choice.resolved(session.catalog)
    if use or not configuration.profilers:
        names = use or [component.name for component in session.catalog.components(Kind.PROFILER)]
        chosen = [session.catalog.choose(Kind.PROFILER, name) for name in names]
        configuration = replace(configuration, profilers=tuple(Selected(one, validated(one, {})) for one in chosen))
    from inferix_core.bench.profiler_overhead import measure_profiler_overhead
    from inferix_core.runtime.engine import Engine

    built = Engine.build(configuration, session.catalog)
    overhead = measure_profiler_overhead(built, session.catalog, prompt=choice.prompt, num_pairs=pairs)
    measured = {
        "model": configuration.model.name,
        "profilers": [one.component.name for one in configuration.profilers],
        **asdict(overhead),
    }
    if as_json:
        print_json(measured)
    else:
        typer.echo(
            f"{measured['model']}: {', '.join(measured['profilers'])} adds {overhead.overhead:.2%} to a block "
            f"({overhead.profiled_milliseconds:.1f} ms with it, {overhead.plain_milliseconds:.1f} ms without; "
            f"medians of {pairs} pairs)"
        )
