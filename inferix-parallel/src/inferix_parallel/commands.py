"""`inferix parallel`: which strategy would be chosen, and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from inferix_core.errors import ConfigError

if TYPE_CHECKING:
    from inferix_core.contracts.workload import Workload

    from inferix_parallel.choice import Candidate, Choice
    from inferix_parallel.topology import Topology

application = typer.Typer(help="One world over several ranks.", no_args_is_help=True)

_WIDEST = 200


@application.callback()
def _group() -> None:
    """One world over several ranks."""


@application.command()
def explain(
    context: typer.Context,
    ranks: Annotated[int, typer.Option(min=1, help="How many ranks there would be.")],
    model: Annotated[str | None, typer.Option(help="The model; see `inferix models`.")] = None,
    preset: Annotated[str | None, typer.Option(help="One of the model's presets.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HEIGHTxWIDTH", help="Pixels of a frame, for models that make any size.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML configuration file.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one key. May be repeated.")
    ] = None,
    topology: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The machines: nvlink, pcie, cpu, or a .toml file.")
    ] = "nvlink",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how a model would be spread over ranks: all candidates, what each would cost, and why one is chosen.

    Nothing is started and no weights are read: times are predictions from sizes, rates and links.
    """
    from inferix_core.workload import configured_workload

    from inferix_parallel.choice import choose
    from inferix_parallel.topology import named_topology

    machines = named_topology(topology, num_ranks=ranks)
    settings = [*([] if preset is None else [f"model.preset={preset}"]), *_size(size), *(overrides or ())]
    workload = configured_workload(model, config=config, overrides=settings, catalog=context.obj.catalog)
    choice = choose(workload, machines)
    if as_json:
        typer.echo(json.dumps({"topology": machines.source, **_as_table(choice)}, indent=2))
    else:
        _print(choice, workload, machines)


def _size(text: str | None) -> list[str]:
    """Overrides that set a size. Raises `ConfigError` for what is none."""
    if text is None:
        return []
    found = re.fullmatch(r"(\d+)[x×](\d+)", text.strip().lower())
    if found is None:
        raise ConfigError(f"--size {text} was asked for, but a size is HEIGHTxWIDTH in pixels, e.g. 480x832.")
    return [f"model.height={found[1]}", f"model.width={found[2]}"]


def _as_table(choice: Choice) -> dict[str, Any]:
    return {"chosen": _row(choice.chosen), "candidates": [_row(one) for one in choice.candidates]}


def _row(candidate: Candidate) -> dict[str, Any]:
    """A candidate as JSON; what cannot be has no figures."""
    row: dict[str, Any] = {
        "strategy": candidate.strategy,
        "ranks": candidate.num_ranks,
        "ring": candidate.degrees.ring,
        "ulysses": candidate.degrees.ulysses,
        "passes": candidate.passes,
        "reason": candidate.reason,
    }
    if (prediction := candidate.prediction) is not None:
        row |= {
            "milliseconds": 1000 * prediction.seconds,
            "waiting_milliseconds": 1000 * prediction.talk_seconds,
            "sent_bytes": round(prediction.sent_bytes),
            "kv_bytes": round(prediction.kv_bytes),
            "weight_bytes": prediction.weight_bytes,
        }
    return row


def _print(choice: Choice, workload: Workload, machines: Topology) -> None:
    from rich.console import Console
    from rich.table import Table

    outline = workload.outline
    console = Console(width=_WIDEST, highlight=False)
    shares = f"{outline.num_heads} heads, {outline.layout.num_layers} layers"
    console.print(
        f"{outline.layout.tokens_per_latent} tokens a latent, {shares}, {workload.num_held_latents} latents held, "
        f"{len(workload.passes)} passes a block, {workload.item_bytes} bytes a value"
    )
    links = f"{machines.within.bytes_per_second / 1e9:g} GB/s and {machines.within.latency_seconds * 1e6:g} us within"
    if machines.num_machines > 1:
        links += (
            f" a machine, {machines.between.bytes_per_second / 1e9:g} GB/s and "
            f"{machines.between.latency_seconds * 1e6:g} us between machines"
        )
    machine = "machine" if machines.num_machines == 1 else "machines"
    console.print(
        f"{machines.num_ranks} ranks on {machines.num_machines} {machine} ({machines.source}): "
        f"{machines.flops_per_second / 1e12:g} TFLOP/s each, {links}"
    )
    table = Table("", "strategy", "ranks", "ms a block", "waiting ms", "MB sent", "KV MiB", "why", box=None)
    for one in choice.candidates:
        figures = ["–"] * 4
        if (prediction := one.prediction) is not None:
            figures = [
                f"{1000 * prediction.seconds:.1f}",
                f"{1000 * prediction.talk_seconds:.1f}",
                f"{prediction.sent_bytes / 1e6:.1f}",
                f"{prediction.kv_bytes / 2**20:.1f}",
            ]
        table.add_row("→" if one is choice.chosen else "", one.label, str(one.num_ranks), *figures, one.reason)
    console.print(table)
    console.print("MB sent and KV MiB are those of the rank that has most, for each block.")
