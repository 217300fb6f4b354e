"""`inferix bench age`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_core.bench.results import check_targets, write_json, write_plot
from inferix_core.cli.bench.options import (
    EngineChoice,
    JsonOption,
    JsonPathOption,
    PlotOption,
    chooses_engine,
    print_json,
    progress_console,
)
from inferix_core.cli.session import Session

if TYPE_CHECKING:
    from inferix_core.bench.age import AgeCost


@chooses_engine
def age(
    context: typer.Context,
    choice: EngineChoice,
    age_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds of video that the old world has lived.")
    ] = 3600.0,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of blocks to compare.")] = 50,
    as_json: JsonOption = False,
    json_path: JsonPathOption = None,
    plot: PlotOption = None,
) -> None:
    """Measure what age costs: blocks of an old world against a fresh one's, and memory over its life."""
    session: Session = context.obj
    check_targets(json_path=json_path, plot=plot)
    configuration = choice.resolved(session.catalog)
    from inferix_core.bench.age import measure_age
    from inferix_core.cli.progress import seconds_progress
    from inferix_core.runtime.engine import Engine

    with seconds_progress(progress_console()) as progress:
        task = progress.add_task("ageing", total=age_seconds)
        cost = measure_age(
            Engine.build(configuration, session.catalog),
            prompt=choice.prompt,
            age_seconds=age_seconds,
            num_pairs=pairs,
            progress=lambda seconds: progress.update(task, completed=seconds),
        )
    title = choice.title(configuration)
    measured = {"model": title, **asdict(cost)}
    if json_path is not None:
        write_json(measured, json_path)
    if plot is not None:
        from inferix_core.bench.age_plot import plot_age

        write_plot(plot_age(cost, title=f"{title}, {cost.aged_seconds:.0f} s old"), plot)
    if as_json:
        print_json(measured)
    else:
        _print(cost, title)


def _print(cost: AgeCost, title: str) -> None:
    typer.echo(
        f"{title}: a block of a world {cost.aged_seconds:.0f} s old takes {cost.ratio:.3f} times a fresh one's "
        f"({cost.aged_milliseconds:.1f} ms against {cost.fresh_milliseconds:.1f} ms; "
        f"medians of {len(cost.ratios)} pairs)"
    )
    process = "" if cost.resident_growth is None else f", the process's memory by {cost.resident_growth:+.2%}"
    typer.echo(f"While it aged, its keys and values grew by {cost.world_growth:+.2%}{process}.")
