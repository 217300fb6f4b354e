"""How many worlds one machine keeps live: `python -m inferix_serve.load`.

Each row lets so many watched worlds play at their frame rate, presses keys in all of them, and counts the blocks that
came after their deadline.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_serve.hall.ages import Percentiles, percentiles
from inferix_serve.hall.events import Event, Made

if TYPE_CHECKING:
    from inferix_serve.hall.hall import Hall

_KEY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured with so many worlds; seconds, but for `fps`, the frames a second that each world got."""

    num_worlds: int
    num_blocks: int
    num_missed: int
    block_p50: float
    block_p95: float
    fps: float
    age_p50: float
    age_p95: float


def main(
    worlds: Annotated[str, typer.Option(help="Numbers of worlds, with commas between.")] = "1,2,4,8",
    seconds: Annotated[float, typer.Option(min=2.0, help="How long each number is watched.")] = 20.0,
    model: Annotated[str | None, typer.Option(help="The model; see `inferix models`.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one key of the configuration.")
    ] = None,
) -> None:
    """Print how many worlds play at their frame rate before a deadline is missed."""
    from inferix_core import Catalog

    from inferix_serve.running import build_hall
    from inferix_serve.settings import settings_from

    raw = {} if model is None else {"model": {"use": model}}
    typer.echo("worlds  blocks  missed  block ms p50/p95  frames/s each  input to photon ms p50/p95")
    with tempfile.TemporaryDirectory() as folder:
        for count in (int(part) for part in worlds.split(",")):
            settings = settings_from({"folder": Path(folder), "limits": {"max_worlds": count}})
            hall = build_hall(raw, overrides or (), settings, Catalog.discover())
            row = measured(hall, count, seconds=seconds)
            typer.echo(
                f"{row.num_worlds:6d}  {row.num_blocks:6d}  {row.num_missed:6d}  "
                f"{1e3 * row.block_p50:9.0f}/{1e3 * row.block_p95:<6.0f}  {row.fps:13.1f}  "
                f"{1e3 * row.age_p50:18.0f}/{1e3 * row.age_p95:<.0f}"
            )


def measured(hall: Hall, num_worlds: int, *, seconds: float) -> Row:
    """The row for so many worlds; the hall is used up by it."""
    from inferix_core.signals import Signal

    made: list[Made] = []
    ages: list[float] = []

    def remember(_name: str, event: Event) -> None:
        if isinstance(event, Made):
            made.append(event)
            live = hall.find_living(_name)
            delay = 0.0 if live is None else max(0.0, live.clock.delay(event.start))
            ages.extend(time.monotonic() + delay - one.received for one in event.inputs)

    hall.start()
    names = [hall.create(None, seed=seed).result()["id"] for seed in range(num_worlds)]
    for name in names:
        hall.watch(name).result()
    time.sleep(hall.engine.geometry.num_frames_per_latent / hall.engine.geometry.fps + 2.0)  # first blocks warm up
    hall.listen(remember)
    action = next((one for one in hall.actions if one != "none"), None)
    missed, started = hall.num_missed, time.monotonic()
    while time.monotonic() - started < seconds:
        time.sleep(_KEY_SECONDS)
        if action is not None:
            for name in names:
                hall.signal(name, Signal(action=action))
    elapsed, num_missed = time.monotonic() - started, hall.num_missed - missed
    counted = list(made)
    hall.close()
    return _row(num_worlds, counted, ages, num_missed=num_missed, elapsed=elapsed)


def _row(num_worlds: int, made: Sequence[Made], ages: list[float], *, num_missed: int, elapsed: float) -> Row:
    nothing = Percentiles(0.0, 0.0, 0)
    making = percentiles([one.seconds for one in made]) or nothing
    age = percentiles(ages) or nothing
    frames = sum(len(one.frames) for one in made)
    return Row(
        num_worlds, len(made), num_missed, making.p50, making.p95, frames / elapsed / num_worlds, age.p50, age.p95
    )


if __name__ == "__main__":
    typer.run(main)
