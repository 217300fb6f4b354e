"""The cost of age as a picture: memory over a world's life, and its blocks against a fresh world's."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from inferix_core.bench.results import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inferix_core.bench.age import AgeCost


def plot_age(cost: AgeCost, *, title: str) -> Figure:
    """Memory on the left, the pairs' ratios on the right. Raises `UnsupportedError` without matplotlib."""
    figure = new_figure(width=11.0, height=3.6)
    memory, pairs = figure.subplots(1, 2)
    minutes = [sample.seconds / 60.0 for sample in cost.samples]
    resident = [sample.num_resident_bytes for sample in cost.samples if sample.num_resident_bytes is not None]
    series = {"keys and values": [sample.num_world_bytes for sample in cost.samples], "process": resident}
    for name, values in series.items():
        if len(values) == len(minutes):
            usual = median(values)
            memory.plot(minutes, [value / usual for value in values], label=f"{name}, {usual / 2**20:.1f} MiB")
    memory.set(xlabel="minutes of video", ylabel="of its median", ylim=(0.0, 1.5), title="memory while it aged")
    memory.legend(loc="lower left")
    pairs.plot(cost.ratios, "o", markersize=4)
    pairs.axhline(cost.ratio, label=f"median {cost.ratio:.3f}")
    pairs.set(xlabel="pair", ylabel="aged / fresh", title="time of a block")
    pairs.legend()
    figure.suptitle(title)
    return figure
