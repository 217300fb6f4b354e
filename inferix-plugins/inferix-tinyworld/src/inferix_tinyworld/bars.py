"""The bars that tinyworld is held to, and the table of what was measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from inferix_core.errors import OutputError

START, END = "<!-- measured: start -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class Bar:
    """What is counted under `name`, in words, and the least share that is accepted."""

    name: str
    what: str
    least: float


BARS = (
    Bar("colour", "object has the prompt's colour, first 5 s", 0.95),
    Bar("sky", "sky is the prompt's, first 5 s", 0.98),
    Bar("behaviour", "behaviour is the prompt's, first 5 s", 0.90),
    Bar("one object", "frames that show exactly one object, first 5 s", 0.90),
    Bar("push", "a push moves the object that way", 0.90),
    Bar("long both", "colour and sky still right after 60 s", 0.90),
)


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    bar: Bar
    num_right: int
    num: int

    @property
    def share(self) -> float:
        """Of what was counted."""
        return self.num_right / self.num if self.num else 0.0

    @property
    def is_reached(self) -> bool:
        """Whether the bar is."""
        return self.num > 0 and self.share >= self.bar.least


def measured(counts: Mapping[str, int]) -> list[Measured]:
    """The lines for what was counted; what was left out has none."""
    return [
        Measured(bar, counts[bar.name], counts[f"{bar.name} of"]) for bar in BARS if counts.get(f"{bar.name} of", 0)
    ]


def markdown(lines: Sequence[Measured], *, seeds: range, day: date) -> str:
    """The table with its date and seed range."""
    rows = [
        f"| {line.bar.what} | {line.num_right} of {line.num} | {line.share:.1%} | {line.bar.least:.0%} "
        f"| {'yes' if line.is_reached else f'no, {line.bar.least - line.share:.1%} short'} |"
        for line in lines
    ]
    head = ["| what | counted | share | bar | reached |", "|---|---|---|---|---|"]
    note = f"Measured on {day.isoformat()} with seeds {seeds.start} to {seeds.stop - 1} and paraphrased prompts."
    return "\n".join([*head, *rows, "", note])


def write_between_markers(path: Path, table: str) -> None:
    """Puts the table between the markers of a file. Raises `OutputError` if the file has none."""
    try:
        text = path.read_text()
    except OSError as error:
        raise OutputError(f"The table was to be written to '{path}', which cannot be read: {error}.") from error
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise OutputError(f"'{path}' has no place for the table: add the lines '{START}' and '{END}' to it.")
    path.write_text(pattern.sub(lambda _: f"{START}\n{table}\n{END}", text))
