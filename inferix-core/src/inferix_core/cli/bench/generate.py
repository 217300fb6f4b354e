"""`inferix bench generate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_core.bench.results import check_targets, write_json
from inferix_core.cli.bench.options import (
    EngineChoice,
    JsonOption,
    JsonPathOption,
    chooses_engine,
    print_json,
    progress_console,
)
from inferix_core.cli.session import Session

if TYPE_CHECKING:
    from inferix_core.bench.alternative import AlternativeCost
    from inferix_core.bench.generate import BlockCost

_RANDOM_WEIGHTS = ("model.weights=random", "decoder.weights=random")


@chooses_engine
def generate(
    context: typer.Context,
    choice: EngineChoice,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights of the true size: no files are needed.")
    ] = False,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks to time, after those that fill the window.")] = 10,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Also time blocks with this setting, in turn. May be repeated."),
    ] = None,
    as_json: JsonOption = False,
    json_path: JsonPathOption = None,
) -> None:
    """Measure what generating costs: denoising, clean pass, decode, and the share of the device's matmul peak."""
    session: Session = context.obj
    check_targets(json_path=json_path, plot=None)
    if random_weights:
        choice = replace(choice, overrides=[*_RANDOM_WEIGHTS, *(choice.overrides or ())])
    configuration = choice.resolved(session.catalog)
    settings = {
        setting: replace(choice, overrides=[*(choice.overrides or ()), setting]).resolved(session.catalog)
        for setting in against or ()
    }
    from inferix_core.bench.alternative import measure_alternative
    from inferix_core.bench.generate import measure_generation
    from inferix_core.runtime.engine import Engine

    with progress_console().status("Loading the model …") as status:
        engine = Engine.build(configuration, session.catalog)
        cost = measure_generation(engine, prompt=choice.prompt, num_blocks=blocks, progress=status.update)
        alternatives = [
            measure_alternative(
                engine,
                Engine.build(other, session.catalog),
                setting=setting,
                prompt=choice.prompt,
                num_pairs=blocks,
                progress=status.update,
            )
            for setting, other in settings.items()
        ]
    title = choice.title(configuration)
    measured = {
        "model": title,
        "random_weights": random_weights,
        **asdict(cost),
        "alternatives": [asdict(one) for one in alternatives],
    }
    if json_path is not None:
        write_json(measured, json_path)
    if as_json:
        print_json(measured)
    else:
        typer.echo("\n".join([*_lines(cost, title), *map(_line, alternatives)]))


def _lines(cost: BlockCost, title: str) -> Iterator[str]:
    window = "no bound" if cost.num_window_latents is None else f"{cost.num_window_latents} latents"
    threads = "1 thread" if cost.num_threads == 1 else f"{cost.num_threads} threads"
    yield (
        f"{title}, {cost.dtype} on {cost.device}, {threads}, torch {cost.torch_version}, {cost.date}; "
        f"medians of {cost.num_blocks} blocks of {cost.num_frames} frames, window: {window}"
    )
    yield f"  denoise     {_part(cost.denoise_milliseconds, cost.num_denoise_flops)}"
    yield f"  clean pass  {_part(cost.clean_milliseconds, cost.num_clean_flops)}"
    yield f"  decode      {_part(cost.decode_milliseconds, cost.num_decode_flops)}"
    yield f"  block       {cost.block_milliseconds:.1f} ms"
    yield (
        f"  frames/s    {cost.frames_per_second:.2f} with decode, {cost.frames_per_second_without_decode:.2f} without"
    )
    yield (
        f"  peak        denoising reaches {cost.denoise_share:.1%} of a matmul's "
        f"{cost.peak_flops_per_second / 1e12:.4g} TFLOP/s"
    )


def _part(milliseconds: float, num_flops: int) -> str:
    return f"{milliseconds:.1f} ms, {num_flops / 1e9:.4g} GFLOP"


def _line(one: AlternativeCost) -> str:
    frames = "the same frames" if one.has_same_frames else "other frames"
    return (
        f"  with {one.setting}: {one.block_milliseconds:.1f} ms, {one.wall_ratio:.3f} of the time and "
        f"{one.cpu_ratio:.3f} of the CPU time without it, {frames}; medians of {one.num_pairs} pairs"
    )
