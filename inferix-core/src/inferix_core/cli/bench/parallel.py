"""`inferix bench parallel`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
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
from inferix_core.cli.choices import DEFAULT_STRATEGY
from inferix_core.cli.session import Session
from inferix_core.configuration import ResolvedConfig
from inferix_core.errors import RankError
from inferix_core.ranks.environment import rank_environment

if TYPE_CHECKING:
    from inferix_core.bench.parallel import RankedCost

_NUM_RANKS = (1, 2, 4)


@chooses_engine
def parallel(
    context: typer.Context,
    choice: EngineChoice,
    ranks: Annotated[
        list[int] | None, typer.Option(min=1, help="How many ranks. May be repeated; default: 1, 2 and 4.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="The parallel strategy.")] = DEFAULT_STRATEGY,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks to time, after those that fill the window.")] = 3,
    as_json: JsonOption = False,
    json_path: JsonPathOption = None,
    part: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure what ranks bring and cost: time, bytes sent beside the strategy's formula, keys and values kept by each.

    Without a model: the embedded world, and a mid-size Wan with random weights. Ranks are processes of this machine.
    """
    session: Session = context.obj
    check_targets(json_path=json_path, plot=None)
    below = [f"parallel.use={strategy}"]
    choices = [replace(one, overrides=[*below, *(one.overrides or ())]) for one in choice.or_usual(session.catalog)]
    if part is not None:
        index, num_ranks, target, is_alone = json.loads(part)
        configuration = choices[index].resolved(session.catalog)
        _part(session, choices[index], configuration, num_ranks, Path(target), blocks, is_alone=is_alone)
        return
    measured = []
    for index, one in enumerate(choices):
        title = one.title(one.resolved(session.catalog))
        with progress_console().status(f"{title} …") as status:
            costs = []
            for num_ranks in ranks or _NUM_RANKS:
                status.update(f"{title}: {num_ranks} ranks …")
                costs.append(_measured_apart(session.arguments, index=index, num_ranks=num_ranks))
        measured.append({"model": title, "costs": [{**asdict(cost), "excess": cost.excess} for cost in costs]})
        if not as_json:
            typer.echo("\n".join(_lines(costs, title)))
    if json_path is not None:
        write_json({"models": measured}, json_path)
    if as_json:
        print_json({"models": measured})


def _measured_apart(arguments: Sequence[str], *, index: int, num_ranks: int) -> RankedCost:
    """What one number of ranks costs, measured by processes of their own in a network of their own where that can be.

    Raises `RankError` where they fail; they have said why.
    """
    from inferix_core.bench.interface import namespace_command
    from inferix_core.bench.parallel import RankedCost

    into_namespace = namespace_command() if num_ranks > 1 else ()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "measured.json"
        part = json.dumps([index, num_ranks, str(target), bool(into_namespace)])
        program = (*into_namespace, sys.executable, "-m", "inferix_core.cli")
        done = subprocess.run([*program, *arguments, "--part", part], check=False)
        if done.returncode or not target.exists():
            raise RankError(f"{num_ranks} ranks could not be measured; they have said why.")
        return RankedCost(**json.loads(target.read_text(encoding="utf-8")))


def _part(
    session: Session,
    choice: EngineChoice,
    configuration: ResolvedConfig,
    num_ranks: int,
    target: Path,
    num_blocks: int,
    *,
    is_alone: bool,
) -> None:
    """Starts the ranks; in a rank, measures."""
    if rank_environment().num_ranks == 1 and num_ranks > 1:
        from inferix_core.bench.interface import LOOPBACK, raise_loopback, talk_over
        from inferix_core.ranks.launching import run_ranks

        if is_alone:
            raise_loopback()
        talk_over(LOOPBACK)
        raise typer.Exit(run_ranks(session.arguments, num_ranks=num_ranks))
    from inferix_core.bench.parallel import measure_rank

    cost = measure_rank(configuration, session.catalog, prompt=choice.prompt, num_blocks=num_blocks, is_alone=is_alone)
    if cost is not None:
        target.write_text(json.dumps(asdict(cost)), encoding="utf-8")


def _lines(costs: Sequence[RankedCost], title: str) -> Iterator[str]:
    first = costs[0]
    yield f"{title}, {first.strategy}, {first.dtype} on {first.device}; medians of {first.num_blocks} blocks"
    yield "  ranks  ms a block  efficiency  MB sent (formula)  MB on the wire  excess  KV MiB a rank"
    for cost in costs:
        efficiency = first.milliseconds * first.num_ranks / (cost.milliseconds * cost.num_ranks)
        formula = "–" if cost.num_formula_bytes is None else f"{cost.num_formula_bytes / 1e6:.3f}"
        wire = "–" if cost.num_wire_bytes is None else f"{cost.num_wire_bytes / 1e6:.3f}"
        excess = "–" if cost.excess is None else f"{cost.excess:+.1%}"
        yield (
            f"  {cost.num_ranks:5d}  {cost.milliseconds:10.1f}  {efficiency:10.0%}  {formula:>17}  {wire:>14}  "
            f"{excess:>6}  {cost.num_kv_bytes / 2**20:13.2f}"
        )
    if any(cost.num_wire_bytes is not None and not cost.is_alone for cost in costs):
        yield "  The system gives ranks no network of their own: what others sent meanwhile is counted too."
