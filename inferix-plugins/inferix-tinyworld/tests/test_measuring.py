"""The measure believes the simulator and disbelieves worlds that do something else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest
import torch
from inferix_core.errors import OutputError
from inferix_core.signals import Signal
from inferix_tinyworld.bars import BARS, END, START, markdown, measured, write_between_markers
from inferix_tinyworld.prompts import parse
from inferix_tinyworld.scene import Scene
from inferix_tinyworld.simulator import Simulator
from inferix_tinyworld.trials import Trial, measure_first_seconds, measure_long, measure_pushes


@dataclass
class TrueBlock:
    frames: torch.Tensor


class SimulatedEngine:
    """The truth in the place of a model, with what each flaw makes of it."""

    def __init__(self, *, flaw: str = "") -> None:
        self.flaw = flaw

    def create_world(self, prompt: str, *, seed: int) -> Simulator:
        scene = parse(prompt)
        return Simulator([_flawed(scene, self.flaw)], seed=seed)

    def step(self, worlds: list[Simulator], signals: list[Signal | None]) -> list[TrueBlock]:
        blocks = []
        for world, signal in zip(worlds, signals, strict=True):
            action = signal.action if signal is not None and signal.action and self.flaw != "push" else "none"
            frames = torch.from_numpy(world.render(world.advance([action]))[0])
            if self.flaw == "one object":  # a second object in every other frame
                frames[::2, 20:50, 5:35] = torch.tensor([225, 35, 40], dtype=torch.uint8)
            blocks.append(TrueBlock(frames))
        return blocks


def _flawed(scene: Scene, flaw: str) -> Scene:
    if flaw == "colour":
        return replace(scene, color="red" if scene.color == "cyan" else "cyan")
    if flaw == "sky":
        return replace(scene, sky="day" if scene.sky == "night" else "night")
    if flaw == "behaviour":
        return replace(scene, behaviour="rests" if scene.behaviour == "bounces" else "bounces")
    return scene


def counts_of(flaw: str) -> dict[str, float]:
    engine = SimulatedEngine(flaw=flaw)
    trials = [Trial(seed) for seed in range(6)]
    counts = measure_first_seconds(engine, trials)  # type: ignore[arg-type]
    counts += measure_pushes(engine, trials)  # type: ignore[arg-type]
    counts += measure_long(engine, trials[:2], seconds=4.0)  # type: ignore[arg-type]
    return {line.bar.name: line.share for line in measured(counts)}


def test_the_simulator_itself_reaches_every_bar() -> None:
    shares = counts_of("")
    assert set(shares) == {bar.name for bar in BARS}
    assert all(shares[bar.name] >= bar.least for bar in BARS), shares


@pytest.mark.parametrize("flaw", ["colour", "sky", "behaviour", "one object", "push"])
def test_a_flaw_is_counted_where_it_is_and_fails_its_bar(flaw: str) -> None:
    shares = counts_of(flaw)
    least = {bar.name: bar.least for bar in BARS}
    assert shares[flaw] < least[flaw]
    others = {"colour", "sky", "one object"} - {flaw, *({"colour"} if flaw == "one object" else set())}
    assert all(shares[name] >= least[name] for name in others), shares


def test_the_table_says_by_how_much_a_bar_is_missed() -> None:
    lines = measured({"colour": 180, "colour of": 200, "sky": 200, "sky of": 200})
    table = markdown(lines, seeds=range(5, 205), day=date(2026, 1, 2))
    assert "180 of 200 | 90.0% | 95% | no, 5.0% short" in table
    assert "200 of 200 | 100.0% | 98% | yes" in table
    assert "2026-01-02 with seeds 5 to 204" in table


def test_the_table_replaces_what_stands_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    write_between_markers(path, "new")
    assert path.read_text() == f"before\n{START}\nnew\n{END}\nafter\n"
    path.write_text("no markers")
    with pytest.raises(OutputError, match="add the lines"):
        write_between_markers(path, "new")
