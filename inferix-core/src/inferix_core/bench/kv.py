"""What combinations of store, policy and codec cost in time, memory and quality, measured on one model.

Every combination has a world of the same seed; the worlds are stepped in turn, so that what a busy machine does to one
it does to all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from inferix_core.bench.kv_cases import KVCase, reference_case, without_codec
from inferix_core.bench.likeness import Likeness, likeness, mean_squared_error
from inferix_core.bench.memory import Growth
from inferix_core.bench.pairs import num_blocks_to_fill
from inferix_core.errors import InferixError
from inferix_core.runtime.building import with_kv
from inferix_core.runtime.engine import Engine

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KVCost:
    """What one combination costs.

    `milliseconds` (wall) and `cpu_milliseconds` (of the process) are medians over the blocks after every bounded window
    is full. `num_world_bytes` is the most that the world's keys and values took of the device between blocks.
    `num_peak_bytes` is the most that its store had taken from the system, unused room included; on CUDA with what a
    step allocates beside it. `num_resident_bytes` is what the process grew by in this world's steps, on a CPU.
    `quality` compares with the full cache, `codec_quality` with the same policy without the codec.
    """

    label: str
    tables: Mapping[str, Mapping[str, Any]]
    milliseconds: float
    cpu_milliseconds: float
    num_world_bytes: int
    num_peak_bytes: int
    num_resident_bytes: int
    quality: Likeness
    codec_quality: Likeness
    drift: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class KVBill:
    """What all combinations cost, and why some were left out."""

    dtype: str
    device: str
    num_blocks: int
    num_timed_blocks: int
    costs: tuple[KVCost, ...]
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DriftRun:
    """For how long and in how many worlds the model's own measure of drift runs; see `ModelSpec.drift`."""

    num_worlds: int
    seconds: float = 60.0
    seed_start: int = 1_000_000


def measure_kv(
    base: Engine,
    config: ResolvedConfig,
    catalog: Catalog,
    cases: Sequence[KVCase],
    *,
    prompt: str | None,
    num_timed_blocks: int,
    seed: int = 0,
    drift: DriftRun | None = None,
    progress: Progress = lambda _: None,
) -> KVBill:
    """The bill for `cases` over the model of `base`, which was built from `config`.

    A combination that cannot be, or that fails on the way, is refused with its reason and harms no other. Raises
    what the full cache itself raises, since there is nothing to compare with then.
    """
    bench = _Bench(base, config, catalog, prompt=prompt, seed=seed)
    try:
        reference = bench.run_of(reference_case(config))
        pairs = []
        for case in cases:
            try:
                pairs.append((bench.run_of(case), bench.run_of(without_codec(case, config))))
            except InferixError as error:
                bench.refused[case.label] = str(error)
        num_filling = max((run.num_filling_blocks for run in bench.runs), default=0)
        for block in range(num_filling + num_timed_blocks):
            progress(f"block {block + 1} of {num_filling + num_timed_blocks}")
            bench.step_all(block, is_timed=block >= num_filling, pairs=pairs, reference=reference)
    finally:
        bench.close()
    measured = [run for run, _ in pairs if run.label not in bench.refused]
    return KVBill(
        dtype=str(base.dtype).removeprefix("torch."),
        device=str(base.device),
        num_blocks=num_filling + num_timed_blocks,
        num_timed_blocks=num_timed_blocks,
        costs=tuple(run.cost(_drift(run, config, drift, progress)) for run in measured),
        refused=bench.refused,
    )


@dataclass(slots=True, eq=False)
class _Run:
    """One world of one combination, and what its steps took."""

    case: KVCase
    engine: Engine
    growth: Growth
    world: Any = None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    num_world_bytes: int = 0
    num_store_bytes: int = 0
    errors: list[float] = field(default_factory=list)
    codec_errors: list[float] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.case.label

    @property
    def num_filling_blocks(self) -> int:
        return num_blocks_to_fill(self.engine)

    def step(self, *, is_timed: bool) -> Tensor:
        """The frames of the next block."""
        cuda = self.engine.device if self.engine.device.type == "cuda" else None
        with self.growth.watched(is_settled=is_timed):
            if cuda is not None:
                torch.cuda.synchronize(cuda)
            start, cpu_start = time.perf_counter(), time.process_time()
            frames: Tensor = self.world.step().frames
            if cuda is not None:
                torch.cuda.synchronize(cuda)
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        if is_timed:
            self.seconds.append(seconds)
            self.cpu_seconds.append(cpu_seconds)
        self.num_world_bytes = max(self.num_world_bytes, self.world.num_kv_bytes)
        self.num_store_bytes = max(self.num_store_bytes, self.engine.parts.store.num_reserved_bytes)
        return frames

    def cost(self, drift: Mapping[str, float] | None) -> KVCost:
        return KVCost(
            label=self.label,
            tables=self.case.tables,
            milliseconds=1000.0 * median(self.seconds),
            cpu_milliseconds=1000.0 * median(self.cpu_seconds),
            num_world_bytes=self.num_world_bytes,
            num_peak_bytes=self.num_store_bytes + self.growth.num_peak_bytes,
            num_resident_bytes=self.growth.num_resident_bytes,
            quality=likeness(self.errors),
            codec_quality=likeness(self.codec_errors),
            drift=drift,
        )


class _Bench:
    """The worlds that are stepped in turn; combinations that are the same share one."""

    def __init__(
        self, base: Engine, config: ResolvedConfig, catalog: Catalog, *, prompt: str | None, seed: int
    ) -> None:
        self._base = base
        self._config = config
        self._catalog = catalog
        self._prompt = prompt
        self._seed = seed
        self._runs: dict[str, _Run] = {}
        self.refused: dict[str, str] = {}

    @property
    def runs(self) -> list[_Run]:
        return list(self._runs.values())

    def run_of(self, case: KVCase) -> _Run:
        """The combination's world at its beginning."""
        key = repr(case.tables)
        if key not in self._runs:
            config = case.resolved(self._config, self._catalog)
            engine = Engine(
                with_kv(self._base.parts, config), self._base.decoder, threads=self._base.threads, config=config
            )
            world = engine.create_world(self._prompt, seed=self._seed)
            self._runs[key] = _Run(case, engine, Growth(engine.device), world)
        return self._runs[key]

    def step_all(self, block: int, *, is_timed: bool, pairs: Sequence[tuple[_Run, _Run]], reference: _Run) -> None:
        """One block of every world, another one first each time, and how like they are."""
        order = [run for run in self.runs if run.label not in self.refused or run is reference]
        first = block % len(order)
        frames: dict[str, Tensor] = {}
        for run in order[first:] + order[:first]:
            try:
                frames[run.label] = run.step(is_timed=is_timed)
            except InferixError as error:
                if run is reference:
                    raise
                self.refused[run.label] = str(error)
        for run, plain in pairs:
            if run.label in frames and plain.label in frames:
                run.errors.append(mean_squared_error(frames[run.label], frames[reference.label]))
                run.codec_errors.append(mean_squared_error(frames[run.label], frames[plain.label]))
            elif run.label in frames:
                self.refused[run.label] = f"Nothing to compare with: {self.refused[plain.label]}"

    def close(self) -> None:
        for run in self.runs:
            run.world.close()


def _drift(run: _Run, config: ResolvedConfig, drift: DriftRun | None, progress: Progress) -> Mapping[str, float] | None:
    """The model's own measure with this combination; None where none is asked for or there is none."""
    measure = config.model.load_drift() if drift is not None else None
    if measure is None or drift is None:
        return None
    progress(f"drift of {run.label}")
    return measure(run.engine, seconds=drift.seconds, num_worlds=drift.num_worlds, seed_start=drift.seed_start)
