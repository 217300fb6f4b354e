"""`inferix bench`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_core.catalog import Catalog
from inferix_core.cli.choices import ConfigOption, ModelOption, PresetOption, SetOption, ThreadsOption, resolved
from inferix_core.cli.session import Session
from inferix_core.configuration import Selected, validated
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.bench.engine_share import EngineShare

application = typer.Typer(help="Measure on this machine.", no_args_is_help=True)

_USUAL_CASES = (("self-forcing", "mid"), ("tinyworld", None))
"""A mid-size Wan with random weights and the embedded world: what is measured where nothing is named."""


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
    pairs: Annotated[
        int, typer.Option(min=1, help="Pairs of blocks to compare, after those that fill the window.")
    ] = 10,
    threads: ThreadsOption = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the engine's share of a block: the loop against the bare network calls and decodes.

    Without a model: a mid-size Wan with random weights, and the embedded world.
    """
    session: Session = context.obj
    cases = _cases(session.catalog, model=model, preset=preset, config=config)
    configurations = [
        resolved(
            session.catalog, config=config, model=name, preset=of_model, seed=None, threads=threads, overrides=overrides
        )
        for name, of_model in cases
    ]
    from inferix_core.bench.engine_share import measure_engine_share
    from inferix_core.runtime.engine import Engine

    for (_, of_model), configuration in zip(cases, configurations, strict=True):
        share = measure_engine_share(Engine.build(configuration, session.catalog), prompt=prompt, num_pairs=pairs)
        _print(f"{configuration.model.name}{f' ({of_model})' if of_model else ''}", share, as_json=as_json)


@application.command()
def profiler(
    context: typer.Context,
    prompt: Annotated[str, typer.Option(help="What the world shows meanwhile.")] = "a red ball bounces",
    model: ModelOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    use: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A profiler; default: those of the configuration, or all.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of blocks to compare.")] = 20,
    threads: ThreadsOption = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what profilers add to a block: two worlds of one model in turn, one of them profiled."""
    session: Session = context.obj
    configuration = resolved(
        session.catalog, config=config, model=model, preset=preset, seed=None, threads=threads, overrides=overrides
    )
    if use or not configuration.profilers:
        names = use or [component.name for component in session.catalog.components(Kind.PROFILER)]
        chosen = [session.catalog.choose(Kind.PROFILER, name) for name in names]
        configuration = replace(configuration, profilers=tuple(Selected(one, validated(one, {})) for one in chosen))
    from inferix_core.bench.profiler_overhead import measure_profiler_overhead
    from inferix_core.runtime.engine import Engine

    engine = Engine.build(configuration, session.catalog)
    overhead = measure_profiler_overhead(engine, session.catalog, prompt=prompt, num_pairs=pairs)
    measured = {
        "model": configuration.model.name,
        "profilers": [one.component.name for one in configuration.profilers],
        **asdict(overhead),
    }
    if as_json:
        typer.echo(json.dumps(measured))
    else:
        typer.echo(
            f"{measured['model']}: {', '.join(measured['profilers'])} adds {overhead.overhead:.2%} to a block "
            f"({overhead.profiled_milliseconds:.1f} ms with it, {overhead.plain_milliseconds:.1f} ms without; "
            f"medians of {pairs} pairs)"
        )


def _cases(
    catalog: Catalog, *, model: str | None, preset: str | None, config: Path | None
) -> list[tuple[str | None, str | None]]:
    installed = {component.name for component in catalog.components(Kind.MODEL)}
    usual = [case for case in _USUAL_CASES if case[0] in installed]
    return [(model, preset)] if model or preset or config or not usual else [*usual]


def _print(name: str, share: EngineShare, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"model": name, **asdict(share)}))
    else:
        typer.echo(
            f"{name}: the engine's share of a block is {share.share:.1%} "
            f"({share.engine_milliseconds:.1f} ms with it, {share.bare_milliseconds:.1f} ms without; "
            f"medians of {share.num_pairs} pairs)"
        )
