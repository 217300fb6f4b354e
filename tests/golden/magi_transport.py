"""Whole runs of MAGI-1's chunk pipeline through the engine, written down as the golden tables write them.

A "chunk" of the tables is our block, a "frame" there is our latent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from fake_velocity import FakeVelocity, Forward, Record, RecordedNoise, RecordingDecoder, RecordingPolicy
from inferix_core.contracts.kv import KVPolicy
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import Emit, Op, Pass, Prefill
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.loop import Parts
from inferix_core.specs import ComponentConfig
from inferix_magi.config import MagiPlannerConfig, MagiRangesConfig, VelocityConfig
from inferix_magi.planner import MagiPlanner
from inferix_magi.ranges import MagiRanges
from inferix_magi.schedule import num_blocks_for, step_intervals
from inferix_magi.solver import VelocitySolver
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TransportRun:
    """What came of a run: executed ops with the forwards they made, emitted latents, latents after the last step."""

    planner_config: MagiPlannerConfig
    num_blocks: int
    num_prefix_latents: int
    executed: list[tuple[Op, Forward | None]]
    emitted: list[Tensor]
    blocks: dict[int, Tensor]
    times: tuple[float, ...]


def planner_config(run: Mapping[str, Any]) -> MagiPlannerConfig:
    """The planner of a run, from the official configuration in its table."""
    runtime, engine = run["runtime_config"], run["engine_config"]
    official = {
        "guidance_times": runtime.get("cfg_t_range"),
        "history_scales": runtime.get("prev_chunk_scales"),
        "text_scales": runtime.get("text_scales"),
    }
    return MagiPlannerConfig(
        num_steps=runtime["num_steps"],
        num_blocks_in_flight=runtime["window_size"],
        num_block_latents=runtime["chunk_width"],
        shortcut=engine["shortcut_mode"],
        clean_time=runtime["clean_t"],
        guidance="distilled" if engine["distill"] else "three-way",
        near_clean_time=engine["distill_nearly_clean_chunk_threshold"],
        **{name: tuple(values) for name, values in official.items() if values is not None},
    )


def policy_config(run: Mapping[str, Any]) -> MagiRangesConfig:
    """The KV policy of a run, from the official configuration in its table."""
    runtime = run["runtime_config"]
    clean = runtime["clean_chunk_kvrange"]
    return MagiRangesConfig(
        num_visible_blocks=tuple(runtime["noise2clean_kvrange"]),
        num_visible_blocks_clean=None if clean == -1 else clean,
    )


def execute(run: Mapping[str, Any], *, noise: Tensor, prefix: Tensor | None) -> TransportRun:
    """Runs a table's configuration with recorded `noise` and `prefix`, both `[1, C, L, h, w]`."""
    config = planner_config(run)
    planner = MagiPlanner(config)
    record = Record()
    engine = _engine(
        planner, MagiRanges(policy_config(run), planner=planner), record, latent_shape=_latent_shape(noise)
    )
    num_prefix_latents = 0 if prefix is None else prefix.shape[2]
    num_blocks = num_blocks_for(
        run["runtime_config"]["num_frames"],
        num_prefix_latents=num_prefix_latents,
        num_block_latents=config.num_block_latents,
    )
    given = None if prefix is None else _as_latents(prefix)
    executed: list[tuple[Op, Forward | None]] = []
    blocks: dict[int, Tensor] = {}
    with engine.create_world(prefix=given, num_blocks=num_blocks, noise=RecordedNoise(_as_latents(noise))) as world:
        for block in range(num_blocks):
            ops = planner.plan(world.state.progress)
            num_before = len(record.forwards)
            world.step()
            forwards = iter(record.forwards[num_before:])
            executed += [(op, None if isinstance(op, Emit) else next(forwards)) for op in ops]
            assert next(forwards, None) is None, "the loop ran passes that are not in the plan"
            if block in world.state.clean:  # generated, not prefilled
                blocks[block] = _as_video(world.state.clean[block].latents)
        assert not planner.plan(world.state.progress), "the plan goes on after the horizon"
    emitted = [_as_video(latents) for latents in record.decoded]
    times = tuple(level.time for level in planner.levels)
    return TransportRun(config, num_blocks, num_prefix_latents, executed, emitted, blocks, times)


def table(run: TransportRun, *, num_text_tokens: int, num_null_tokens: int) -> list[dict[str, Any]]:
    """The steps of a run as the golden table writes them."""
    return list(_Table(run, num_text_tokens=num_text_tokens, num_null_tokens=num_null_tokens).steps())


class _Table:
    """Writes what was executed as the rows of the golden table, from plan, forwards and what was emitted."""

    def __init__(self, run: TransportRun, *, num_text_tokens: int, num_null_tokens: int) -> None:
        self._run = run
        self._config = run.planner_config
        self._num_text_tokens = num_text_tokens
        self._num_null_tokens = num_null_tokens
        self._size = run.planner_config.num_block_latents
        self._num_stage_steps = run.planner_config.num_steps // run.planner_config.num_blocks_in_flight
        self._intervals = step_intervals(run.planner_config.num_steps, shortcut=run.planner_config.shortcut)

    def steps(self) -> Iterator[dict[str, Any]]:
        prefills: list[tuple[Prefill, Forward]] = []
        passes: list[tuple[Pass, Forward]] = []
        emitted = iter(self._run.emitted)
        number = 0
        for op, forward in self._run.executed:
            if isinstance(op, Prefill) and forward is not None:
                prefills.append((op, forward))
            elif isinstance(op, Pass) and forward is not None:
                passes.append((op, forward))
                if op.updates:
                    yield self._step(number, prefills, passes, emitted)
                    number, prefills, passes = number + 1, [], []

    def _step(
        self,
        number: int,
        prefills: list[tuple[Prefill, Forward]],
        passes: list[tuple[Pass, Forward]],
        emitted: Iterator[Tensor],
    ) -> dict[str, Any]:
        updates = passes[-1][0].updates
        oldest, newest = updates[0], updates[-1]
        row: dict[str, Any] = {
            "step": number,
            "stage": number // self._num_stage_steps,
            "denoise_idx": number % self._num_stage_steps,
            "chunk_start": oldest.block,
            "chunk_end": newest.block + 1,
            "t_start": newest.level.index // self._num_stage_steps,
            "t_end": oldest.level.index // self._num_stage_steps + 1,
            "t_before": [update.level.time for update in updates],
            "t_after": [update.target.time for update in updates],
            "forwards": [self._prefix_forward(prefills)] if prefills else [],
            "emits": None,
        }
        row["forwards"].append(self._forward(number, passes))
        if self._run.num_prefix_latents:
            row["prefix_frames_pasted"] = self._pasted(passes)
        if finished := passes[-1][0].finishes:
            (block,) = finished
            num_prefix_blocks = self._run.num_prefix_latents // self._size
            row["emits"] = {"chunk": block - num_prefix_blocks, "frames": next(emitted).shape[2]}
        return row

    def _prefix_forward(self, prefills: list[tuple[Prefill, Forward]]) -> dict[str, Any]:
        """Blocks of a prefix see no later ones, so one forward over all of them equals ours, one after another."""
        seen = [pair for _, forward in prefills for pair in forward.visible]
        return {
            "kind": "prefix_features",
            "frames": sum(len(op.entry.latents) for op, _ in prefills),
            "slice_point": prefills[0][0].entry.block,
            "range_num": prefills[-1][0].entry.block + 1,
            "denoising_range_num": len(prefills),
            "fwd_extra_1st_chunk": False,
            "nearly_clean": False,
            "distill_interval": 1.0,
            "t": [forward.times[0] for _, forward in prefills],
            "kv_range_in_chunks": [self._in_blocks(latents) for _, latents in seen],
            "caption_tokens": [self._num_null_tokens] * 2 * len(prefills),
        }

    def _forward(self, number: int, passes: list[tuple[Pass, Forward]]) -> dict[str, Any]:
        """A step's passes as the one dispatched forward of the table; all that have history must see the same."""
        main, forward = passes[-1]
        seen = [[(entry.block, latents) for entry, latents in one.visible] for _, one in passes if one.visible]
        assert all(one == other for one, other in pairwise(seen)), "text and history passes see different latents"
        entries = [entry for entry, _ in forward.visible]
        clean = [entry.block in main.commits for entry in entries]
        interval = self._intervals[number % self._num_stage_steps]
        oldest = main.updates[0].level
        nearly_clean = oldest.time > self._config.near_clean_time
        if self._config.guidance == "distilled":
            alone = [entry for entry in main.entries if not entry.reads_cache]
            assert bool(alone) == nearly_clean, "the nearly clean block is passed alone, and only then"
            assert forward.step_size == (8.0 / interval if self._config.num_steps == 12 else self._config.num_steps / 2)
        return {
            "kind": "denoise",
            "frames": sum(len(entry.latents) for entry in entries),
            "slice_point": entries[0].block,
            "range_num": entries[-1].block + 1,
            "denoising_range_num": len(entries),
            "fwd_extra_1st_chunk": any(clean),
            "nearly_clean": nearly_clean,
            "distill_interval": interval,
            "t": forward.times[: len(entries) * self._size : self._size],
            "kv_range_in_chunks": [self._in_blocks(latents) for _, latents in forward.visible],
            "caption_tokens": [self._num_null_tokens if one else self._num_text_tokens for one in clean]
            + [self._num_null_tokens] * len(entries),
        }

    def _pasted(self, passes: list[tuple[Pass, Forward]]) -> dict[str, int]:
        entries = [entry for entry, _ in passes[-1][1].visible]
        return {"from_frame": entries[0].latents.start, "count": sum(entry.num_pinned_latents for entry in entries)}

    def _in_blocks(self, latents: list[int]) -> list[float]:
        assert latents == list(range(latents[0], latents[-1] + 1)), "what an entry sees has holes"
        return [latents[0] / self._size, (latents[-1] + 1) / self._size]


def _engine(planner: MagiPlanner, policy: KVPolicy, record: Record, *, latent_shape: tuple[int, int, int]) -> Engine:
    model = FakeVelocity(record, latent_shape=latent_shape)
    store = DenseStore(
        DenseConfig(),
        layout=model.layout,
        capacity=policy.capacity(planner.num_block_latents),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    parts = Parts(
        model=model,
        planner=planner,
        solver=VelocitySolver(VelocityConfig()),
        store=store,
        policy=RecordingPolicy(policy, record),
        backend=SdpaBackend(ComponentConfig()),
        relay=Relay(),
        device=torch.device("cpu"),
    )
    return Engine(parts, RecordingDecoder(record))


def _latent_shape(noise: Tensor) -> tuple[int, int, int]:
    return noise.shape[1], noise.shape[3], noise.shape[4]


def _as_latents(video: Tensor) -> Tensor:
    """`[1, C, L, h, w]` as `[L, C, h, w]`."""
    return video[0].transpose(0, 1)


def _as_video(latents: Tensor) -> Tensor:
    """`[L, C, h, w]` as `[1, C, L, h, w]`."""
    return latents.transpose(0, 1).unsqueeze(0)
