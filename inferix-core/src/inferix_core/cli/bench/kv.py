"""`inferix bench kv`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from inferix_core.bench.kv_cases import case_of, default_cases
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
    from inferix_core.bench.kv import KVBill
    from inferix_core.bench.likeness import Likeness

_DRIFT_SECONDS = 60.0
_WIDEST = 400


@chooses_engine
def kv(
    context: typer.Context,
    choice: EngineChoice,
    case: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STORE/POLICY/CODEC",
            help="A combination, e.g. paged/window(num_window_latents=9)/int8; parts left out are the configuration's. "
            "May be repeated. Default: all installed stores, and all codecs, under the configuration's policy.",
        ),
    ] = None,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks to time, after those that fill the windows.")] = 8,
    drift_worlds: Annotated[
        int, typer.Option(min=0, help="Worlds in which the model's own measure of drift is taken, 60 s each.")
    ] = 0,
    as_json: JsonOption = False,
    json_path: JsonPathOption = None,
    plot: PlotOption = None,
) -> None:
    """Measure what KV stores, policies and codecs cost: time, memory, and PSNR against the full cache.

    All worlds have one seed and are stepped in turn. Combinations that cannot be are listed with the reason.
    """
    session: Session = context.obj
    check_targets(json_path=json_path, plot=plot)
    configuration = choice.resolved(session.catalog)
    cases = [case_of(text, configuration) for text in case or ()] or default_cases(configuration, session.catalog)
    from inferix_core.bench.kv import DriftRun, measure_kv
    from inferix_core.runtime.engine import Engine

    with progress_console().status("Loading the model …") as status:
        bill = measure_kv(
            Engine.build(configuration, session.catalog),
            configuration,
            session.catalog,
            cases,
            prompt=choice.prompt,
            num_timed_blocks=blocks,
            drift=DriftRun(drift_worlds, seconds=_DRIFT_SECONDS) if drift_worlds else None,
            progress=status.update,
        )
    title = choice.title(configuration)
    measured = {"model": title, **asdict(bill)}
    if json_path is not None:
        write_json(measured, json_path)
    if plot is not None:
        from inferix_core.bench.kv_plot import plot_kv

        write_plot(plot_kv(bill, title=f"{title}, {bill.dtype} on {bill.device}"), plot)
    if as_json:
        print_json(measured)
    else:
        _print(bill, title, asked_for_drift=drift_worlds > 0)


def _print(bill: KVBill, title: str, *, asked_for_drift: bool) -> None:
    console = Console(width=_WIDEST, highlight=False)  # rather wider than a narrow terminal than with names cut off
    console.print(
        f"{title}, {bill.dtype} on {bill.device}: PSNR over {bill.num_blocks} blocks, medians of "
        f"{bill.num_timed_blocks} blocks' time"
    )
    drifts = sorted({name for cost in bill.costs for name in cost.drift or {}})
    table = Table(
        "store/policy/codec", "ms", "CPU ms", "KV MiB", "peak MiB", "dB to full", "dB to no codec", *drifts, box=None
    )
    for cost in bill.costs:
        table.add_row(
            cost.label,
            f"{cost.milliseconds:.1f}",
            f"{cost.cpu_milliseconds:.1f}",
            f"{cost.num_world_bytes / 2**20:.2f}",
            f"{cost.num_peak_bytes / 2**20:.2f}",
            _decibels(cost.quality),
            _decibels(cost.codec_quality),
            *(f"{(cost.drift or {}).get(name, 0.0):.1%}" for name in drifts),
        )
    console.print(table)
    for label, reason in bill.refused.items():
        console.print(f"Left out: {label}: {' '.join(reason.split())}", markup=False, soft_wrap=True)
    if asked_for_drift and not drifts:
        console.print("The model brings no measure of drift.")


def _decibels(likeness: Likeness) -> str:
    return "same" if likeness.psnr is None else f"{likeness.psnr:.1f}"
