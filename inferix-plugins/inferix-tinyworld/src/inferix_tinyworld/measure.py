"""`python -m inferix_tinyworld.measure`: makes worlds from held-out seeds and prints how often they are right."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from inferix_tinyworld.bars import Measured, markdown, measured, write_between_markers

README = Path(__file__).parents[2] / "README.md"
FIRST_SECONDS, PUSHES, LONG = "first seconds", "pushes", "60 s"
"""The kinds of trials, as the progress shows them."""
SEED_START = 1_000_000
"""Training draws its scenes from numbered generators of its own and no noise from the engine's seeds."""


@dataclass(frozen=True)
class Task:
    """Some trials of one kind."""

    kind: str
    seeds: range


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; 1 if a bar is not reached."""
    options = _parser().parse_args(arguments)
    tasks = [
        *_tasks(LONG, range(options.seed_start, options.seed_start + options.long_worlds), size=4),
        *_tasks(FIRST_SECONDS, range(options.seed_start, options.seed_start + options.worlds), size=20),
        *_tasks(PUSHES, range(options.seed_start, options.seed_start + options.push_worlds), size=20),
    ]
    counts: Counter[str] = Counter()
    # Inherited by the processes, which import torch only after this: spinning threads stall each other on busy cores.
    os.environ.update(GOMP_SPINCOUNT="0", OMP_NUM_THREADS="1")
    console = Console(stderr=True)
    pool = ProcessPoolExecutor(options.processes, mp_context=get_context("spawn"))
    with pool, Progress(console=console) as progress:
        bar = progress.add_task("worlds", total=sum(len(task.seeds) for task in tasks))
        running = {pool.submit(run_task, task, tuple(options.set)): task for task in tasks}
        for future in as_completed(running):
            counts.update(future.result())
            progress.advance(bar, len(running[future].seeds))
    num_seeds = max(options.worlds, options.push_worlds, options.long_worlds)
    return _report(
        measured(counts), counts, seeds=range(options.seed_start, options.seed_start + num_seeds), options=options
    )


def run_task(task: Task, overrides: tuple[str, ...]) -> Counter[str]:
    """What one task counted, by an engine of its own."""
    from inferix_core import Engine  # loads torch, which the starting process does not need

    from inferix_tinyworld.trials import Trial, measure_first_seconds, measure_long, measure_pushes

    engine = Engine.load("tinyworld", overrides=("num_threads=1", *overrides))
    trials = [Trial(seed) for seed in task.seeds]
    if task.kind == LONG:
        return measure_long(engine, trials)
    return measure_pushes(engine, trials) if task.kind == PUSHES else measure_first_seconds(engine, trials)


def _tasks(kind: str, seeds: range, *, size: int) -> list[Task]:
    return [Task(kind, seeds[first : first + size]) for first in range(0, len(seeds), size)]


def _report(lines: list[Measured], counts: Counter[str], *, seeds: range, options: argparse.Namespace) -> int:
    table = markdown(lines, seeds=seeds, day=date.today())
    if options.json:
        _say(json.dumps({"counts": dict(counts), "seeds": [seeds.start, seeds.stop]}, indent=1))
    else:
        _say(table)
    if options.write_readme:
        write_between_markers(README, table)
    return 0 if all(line.is_reached for line in lines) else 1


def _say(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inferix_tinyworld.measure", description=__doc__)
    parser.add_argument("--worlds", type=int, default=200, help="worlds of 5 s (default 200)")
    parser.add_argument("--push-worlds", type=int, default=100, help="worlds that are pushed (default 100)")
    parser.add_argument("--long-worlds", type=int, default=24, help="worlds of 60 s (default 24)")
    parser.add_argument("--seed-start", type=int, default=SEED_START, help=f"first seed (default {SEED_START})")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="one thread each (default: all cores)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="overrides of the configuration"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON instead of the table")
    parser.add_argument("--write-readme", action="store_true", help="put the table into the package's README")
    return parser


if __name__ == "__main__":
    sys.exit(main())
