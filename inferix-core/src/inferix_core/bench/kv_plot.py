"""The bill of the KV cache as a picture: time, memory and quality of each combination, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferix_core.bench.results import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from inferix_core.bench.kv import KVBill

_ROOM = 1.4
"""How far beyond the longest bar the axis goes, for what is written behind it."""
_LABEL_LETTERS = 44
_LINE_INCHES, _PANEL_INCHES, _LABEL_INCHES = 0.2, 2.6, 3.4


def plot_kv(bill: KVBill, *, title: str) -> Figure:
    """One row for each combination. Raises `UnsupportedError` where matplotlib is not installed."""
    labels = [textwrap.fill(cost.label, _LABEL_LETTERS) for cost in bill.costs]
    num_lines = sum(1 + label.count("\n") for label in labels)
    num_panels = 6 if any(cost.drift for cost in bill.costs) else 5
    figure = new_figure(
        width=_LABEL_INCHES + num_panels * _PANEL_INCHES, height=1.4 + _LINE_INCHES * (num_lines + len(labels))
    )
    time, memory, peak, quality, codec, *drift = figure.subplots(1, num_panels, sharey=True, squeeze=False)[0]
    _bars(time, labels, [cost.milliseconds for cost in bill.costs], "ms per block", "{:.0f}")
    _bars(memory, labels, [cost.num_world_bytes / 2**20 for cost in bill.costs], "MiB of KV per world", "{:.2f}")
    _bars(peak, labels, [cost.num_peak_bytes / 2**20 for cost in bill.costs], "MiB at the peak", "{:.2f}")
    _psnr_bars(quality, labels, [cost.quality.psnr for cost in bill.costs], "dB to the full cache")
    _psnr_bars(codec, labels, [cost.codec_quality.psnr for cost in bill.costs], "dB to no codec")
    for axes in drift:
        shares = [min((cost.drift or {}).values(), default=0.0) for cost in bill.costs]
        _bars(axes, labels, shares, "least share still right", "{:.2f}")
    time.invert_yaxis()
    figure.suptitle(title)
    return figure


def _psnr_bars(axes: Axes, labels: Sequence[str], psnr: Sequence[float | None], title: str) -> None:
    """Frames that are the same have no bar: no number of decibels would be right."""
    values = [0.0 if one is None else one for one in psnr]
    _bars(
        axes, labels, values, title, "{:.1f}", said=["the same bits" if one is None else f"{one:.1f}" for one in psnr]
    )


def _bars(
    axes: Axes,
    labels: Sequence[str],
    values: Sequence[float],
    title: str,
    form: str,
    *,
    said: Sequence[str] | None = None,
) -> None:
    bars = axes.barh(labels, values, color="#4878a8")
    axes.bar_label(bars, said or [form.format(value) for value in values], padding=3)
    axes.set_title(title, fontsize=10)
    axes.set_xlim(0.0, _ROOM * max(*values, 0.0, 1e-9))
