"""What the parts of a block cost in a world whose window is full, and what share of the device's peak they reach."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from inferix_core.bench.matmul_peak import matmul_flops_per_second
from inferix_core.bench.pairs import check_goes_on, num_blocks_to_fill
from inferix_core.bench.spans import CountedTimings, DeviceTimings, wait_for
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.threads import cpu_threads
from inferix_core.specs import ComponentConfig

if TYPE_CHECKING:
    from inferix_core.runtime.world import World

_DENOISE, _CLEAN, _DECODE = "pass", "commit", "decode"
_CPU_NAMES = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class BlockCost:
    """Medians over blocks, in milliseconds of wall time, on CUDA between synchronisations.

    `denoise` are all denoising passes of a block with their updates, `clean` the pass that only commits (0.0 where
    there is none), `block` the whole step. Operations are those of one block after the timed ones, counted from
    shapes. `peak_flops_per_second` is that of `matmul_flops_per_second` in the same process, with the same dtype and
    threads; `denoise_share` is what the denoising passes reach of it. `num_window_latents` is None under a policy
    without a bound, whose blocks grow dearer as a world ages.
    """

    num_blocks: int
    num_frames: int
    num_window_latents: int | None
    block_milliseconds: float
    denoise_milliseconds: float
    clean_milliseconds: float
    decode_milliseconds: float
    frames_per_second: float
    frames_per_second_without_decode: float
    num_denoise_flops: int
    num_clean_flops: int
    num_decode_flops: int
    peak_flops_per_second: float
    denoise_share: float
    device: str
    dtype: str
    torch_version: str
    num_threads: int
    date: str


def measure_generation(
    engine: Engine, *, prompt: str | None, num_blocks: int, progress: Callable[[str], None] = lambda _: None
) -> BlockCost:
    """Steps a world until its window is full, then times `num_blocks` blocks and counts the operations of one more.

    `progress` is told what is being done. Raises `ConfigError` at once for planners that make a single clip.
    """
    check_goes_on(engine)
    with cpu_threads(engine.threads.network):
        progress("Measuring the matmul peak …")
        num_threads = torch.get_num_threads()
        peak = matmul_flops_per_second(device=engine.device, dtype=engine.dtype)
    timed = Engine(engine.parts, engine.decoder, threads=engine.threads, timings=lambda: DeviceTimings(engine.device))
    num_filling = num_blocks_to_fill(engine)
    with timed.create_world(prompt, seed=0) as world:
        for index in range(num_filling):
            progress(f"Filling the window: block {index + 1} of {num_filling} …")
            world.step()
        blocks = []
        for index in range(num_blocks):
            progress(f"Block {index + 1} of {num_blocks} …")
            blocks.append(_timed_block(world))
        progress("Counting operations …")
        num_flops = _num_flops(world)
    denoise, clean, decode = (median(one.part(name) for one in blocks) for name in (_DENOISE, _CLEAN, _DECODE))
    num_denoise_flops = num_flops.get(_DENOISE, 0)
    return BlockCost(
        num_blocks=num_blocks,
        num_frames=round(median(one.num_frames for one in blocks)),
        num_window_latents=engine.parts.policy.capacity(engine.parts.planner.num_block_latents),
        block_milliseconds=1000.0 * median(one.seconds for one in blocks),
        denoise_milliseconds=1000.0 * denoise,
        clean_milliseconds=1000.0 * clean,
        decode_milliseconds=1000.0 * decode,
        frames_per_second=median(one.num_frames / one.seconds for one in blocks),
        frames_per_second_without_decode=median(one.num_frames / (one.seconds - one.part(_DECODE)) for one in blocks),
        num_denoise_flops=num_denoise_flops,
        num_clean_flops=num_flops.get(_CLEAN, 0),
        num_decode_flops=num_flops.get(_DECODE, 0),
        peak_flops_per_second=peak,
        denoise_share=num_denoise_flops / denoise / peak,
        device=_device_name(engine.device),
        dtype=str(engine.dtype).removeprefix("torch."),
        torch_version=torch.__version__,
        num_threads=num_threads,
        date=datetime.now(UTC).date().isoformat(),
    )


@dataclass(frozen=True, slots=True)
class _TimedBlock:
    num_frames: int
    seconds: float
    parts: Mapping[str, float]

    def part(self, name: str) -> float:
        return self.parts.get(name, 0.0)


def _timed_block(world: World) -> _TimedBlock:
    device = world.engine.device
    wait_for(device)
    start = time.perf_counter()
    block = world.step()
    wait_for(device)
    return _TimedBlock(len(block.frames), time.perf_counter() - start, block.timings.seconds)


def _num_flops(world: World) -> Mapping[str, int]:
    """The operations of the world's next block, by span.

    Attention runs in torch's own kernels meanwhile, whatever backend is chosen, since others are not counted.
    """
    engine, counted = world.engine, CountedTimings()
    parts = replace(engine.parts, backend=SdpaBackend(ComponentConfig()))
    counting = Engine(parts, engine.decoder, threads=engine.threads, timings=lambda: counted)
    counting.world_of(world.state).step()  # the same state: `world` closes it
    return counted.num_flops


def _device_name(device: torch.device) -> str:
    """The name of the GPU or, where the system says it, of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return str(device)
    lines = _CPU_NAMES.read_text().splitlines() if _CPU_NAMES.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"CPU ({next(named, platform.processor() or platform.machine())})"
