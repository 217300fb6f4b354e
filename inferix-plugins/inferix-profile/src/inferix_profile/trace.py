"""The profiler `trace`: it wraps the making of blocks and passes and keeps what their timings say."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from inferix_core.events import Block, BlockRun, PassRun, Span
from inferix_core.hookspecs import hookimpl
from rich.console import Console

from inferix_profile.callbacks import Callback, Callbacks, imported_callback
from inferix_profile.chrome import chrome_trace
from inferix_profile.config import TraceConfig
from inferix_profile.files import check_folder, write_json
from inferix_profile.own_span import OwnSpan
from inferix_profile.records import BlockRecord, Kept, PassMark, Sample
from inferix_profile.table import tables
from inferix_profile.totals import Totals


class Trace:
    """Implements the core's `Profiler`. Raises `OutputError` or `ConfigError` for what could not be written or asked.

    A block's spans are read from its timings when they are asked for, so that the writing of its frames, which comes
    after it has been handed out, is among them. Nothing waits for the device unless the configuration says so.
    """

    def __init__(self, config: TraceConfig, *, synchronize: Callable[[], None] | None = None) -> None:
        """`synchronize` waits for the device; default: torch's accelerator, if the configuration asks for it."""
        for key, path in (("json_path", config.json_path), ("chrome_path", config.chrome_path)):
            if path is not None:
                check_folder(path, key=key)
        self._config = config
        self._callbacks = Callbacks()
        for path in config.metrics:
            self._callbacks.add(imported_callback(path))
        wait = synchronize or wait_for_accelerator
        self._wait_at_blocks = wait if config.synchronize != "never" else _do_not_wait
        self._wait_at_passes = wait if config.synchronize == "pass" else _do_not_wait
        self._folded = Totals()
        self._blocks = Kept[BlockRecord](config.num_kept_blocks, fold=self._folded.add_block)
        self._own_spans = Kept[Span](config.num_kept_blocks, fold=self._folded.add_own_span)
        self._samples = Kept[Sample](config.num_kept_blocks, fold=self._folded.add_sample)
        self._making: BlockRecord | None = None
        self._made: dict[str, BlockRecord] = {}  # by world: made, and perhaps not handed out yet
        self._report: Mapping[str, Any] | None = None
        self._is_closed = False

    def span(self, name: str) -> OwnSpan:
        """A span of your own: `with trace.span("physics"): …`, or `@trace.span("physics")` above a function."""
        return OwnSpan(name, ended=self._own_spans.add)

    def metric(self, name: str, value: float) -> None:
        """Records a number of your own, now."""
        self._samples.add(Sample(name, time.perf_counter(), float(value)))

    def on_block(self, callback: Callback) -> None:
        """Records the numbers that `callback(block)` returns by name for every block from now on.

        A callback that raises is dropped with a warning.
        """
        self._callbacks.add(callback)

    @hookimpl(wrapper=True)
    def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
        """Times the making of a block, also when it fails."""
        self._wait_at_blocks()
        record = BlockRecord(tuple(run.world_ids), tuple(run.blocks), time.perf_counter())
        self._making = record
        try:
            outcome = yield
            self._wait_at_blocks()
        finally:
            record.seconds = time.perf_counter() - record.start
            self._making = None
            self._blocks.add(record)
        self._made.update(dict.fromkeys(record.world_ids, record))
        return outcome

    @hookimpl(wrapper=True)
    def inferix_run_pass(self, run: PassRun) -> Generator[None, object, object]:
        """Notes the levels of a pass; its time stands in the block's timings."""
        if self._making is not None:
            self._making.passes.append(PassMark(tuple(entry.level.time for entry in run.passes[0].entries)))
        self._wait_at_passes()
        outcome = yield
        self._wait_at_passes()
        return outcome

    @hookimpl
    def inferix_frames(self, block: Block) -> None:
        """Counts the frames of a block that is handed out, here and nowhere else."""
        record = self._made.pop(block.world_id, None)
        if record is not None:
            record.frames[block.world_id] = len(block.frames)
            record.timings = block.timings
        for name, value in self._callbacks.numbers(block):
            self.metric(name, value)

    @hookimpl
    def inferix_report(self, summary: Mapping[str, Any]) -> None:
        """Keeps what a finished run says of itself."""
        self._report = dict(summary)

    def summary(self) -> Mapping[str, Any]:
        """See `Profiler.summary`; `totals.Totals.summary` lists the keys, and `run` is what a finished run reported."""
        totals = self._folded.copy()
        for record in self._blocks:
            totals.add_block(record)
        for span in self._own_spans:
            totals.add_own_span(span)
        for sample in self._samples:
            totals.add_sample(sample)
        return {**totals.summary(), "run": self._report}

    def close(self) -> None:
        """See `Profiler.close`. Raises `WriteError` if a file cannot be written; the table is printed first."""
        if self._is_closed:
            return
        self._is_closed = True
        summary = self.summary()
        if self._config.table and (summary["num_blocks"] or summary["own_spans"] or summary["metrics"]):
            console = Console(stderr=True)
            for part in tables(summary):
                console.print(part, highlight=False)
        if self._config.json_path is not None:
            write_json(self._config.json_path, {**summary, "blocks": [_plain(record) for record in self._blocks]})
        if self._config.chrome_path is not None:
            write_json(self._config.chrome_path, chrome_trace(self._blocks, self._own_spans, self._samples))


def wait_for_accelerator() -> None:
    """Returns once the device has done all it was given; at once on a CPU."""
    import torch  # only who asks for it waits, and whoever made a block has loaded it

    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def _do_not_wait() -> None:
    """What is done at blocks and passes unless waiting was asked for."""


def _plain(record: BlockRecord) -> dict[str, Any]:
    """One block as an entry of the JSON file: times in seconds, starts counted from the block's own."""
    return {
        "worlds": list(record.world_ids),
        "blocks": list(record.blocks),
        "seconds": record.seconds,
        "frames": dict(record.frames),
        "pass_times": [list(mark.times) for mark in record.passes],
        "spans": [
            {
                "name": span.name,
                "world": span.world_id,
                "start": span.start - record.start,
                "seconds": span.seconds,
            }
            for span in record.spans
        ],
    }
