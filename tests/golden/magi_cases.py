"""Runners for the golden cases of MAGI-1.

`CASES` and `TABLES` are lists of (pattern, runner). A case's runner takes the index entry (with `folder`
added) and the case's tensors and returns its outputs; a table's runner takes the entry and the golden
table and returns the same table made anew: it reads configurations and inputs from it, nothing else.
`INPUTS` says which tensors of a case are given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from inferix_core.plan import Level
from inferix_magi.config import VelocityConfig
from inferix_magi.guidance import GuidanceScales
from inferix_magi.schedule import Stage, stages, step_intervals, time_table
from inferix_magi.solver import VelocitySolver
from magi_forwards import run_bfloat16, run_cache, run_forwards, run_step_sizes
from magi_guidance import run_guidance
from magi_transport import TransportRun, execute, table
from magi_units import run_units
from magi_worlds import run_videos
from outcome import Unsupported
from torch import Tensor


def run_transport(case: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every run of the chunk pipeline with the fake velocity, and the integration step alone."""
    outputs: dict[str, Tensor] = {}
    for name, run in _transport_runs(Path(case["folder"]), tensors).items():
        result = execute(run, noise=tensors[f"{name}.noise"], prefix=tensors.get(f"{name}.prefix"))
        outputs |= {f"{name}.chunk{index}": latents for index, latents in enumerate(result.emitted)}
        outputs[f"{name}.final_x"] = _final(result, tensors[f"{name}.noise"])
        outputs[f"{name}.ts"] = torch.tensor(result.times, dtype=torch.float32)
    if "integrate.x" in tensors:
        outputs["integrate.out"] = _integrate(case["tensors"]["integrate.out"], tensors)
    return outputs


def remake_transport_tables(case: Mapping[str, Any], golden: Mapping[str, Any]) -> dict[str, Any]:
    """Every step of every run, from what the engine executed."""
    return {"runs": [_remade(run) for run in golden["runs"]]}


def remake_schedule_functions(case: Mapping[str, Any], golden: Mapping[str, Any]) -> dict[str, Any]:
    """Time tables, intervals, window sequences and guidance scales."""
    remakers: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
        "init_t": _time_table,
        "init_interval": _intervals,
        "generate_sequences": _sequences,
        "cfg_scale": _guidance,
    }
    lists = {name: rows for name, rows in golden.items() if isinstance(rows, list)}
    if unknown := sorted(lists.keys() - remakers.keys()):
        raise Unsupported(f"nothing makes the tables {', '.join(unknown)} yet")
    return {name: [remakers[name](row) for row in rows] for name, rows in lists.items()}


_CALL = ("x", "t", "y", "xattn_mask", "kv_range", "caption_dropout_mask")
_CALLS = tuple(f"*.{name}" for name in _CALL)
CASES = [
    ("transport_fake_velocity*", run_transport),
    ("dit_units*", run_units),
    ("dit_fwd_*", run_forwards),
    ("dit_kv_cache*", run_cache),
    ("dit_distill_dt*", run_step_sizes),
    ("dit_bf16_informative*", run_bfloat16),
    ("dit_guidance*", run_guidance),
    ("e2e_*", run_videos),
]
TABLES = [
    ("transport_tables*.json", remake_transport_tables),
    ("schedule_functions*.json", remake_schedule_functions),
]
INPUTS: list[tuple[str, tuple[str, ...]]] = [
    ("transport_fake_velocity*", ("*.noise", "*.prefix", "integrate.x", "integrate.v", "integrate.t")),
    (
        "dit_units*",
        ("t_emb.t", "y_emb.caption", "rope*.shape", "bma.x", "bma.residual", "bma.gate", "bma.map", "*patch.in"),
    ),
    ("dit_fwd_*", _CALLS),
    ("dit_kv_cache*", _CALLS),
    ("dit_distill_dt*", (*_CALL, "dt_values")),
    ("dit_bf16_informative*", _CALL),
    ("dit_guidance*", ("*.x", "*.t", "*.y", "*.mask", "*.kv_range")),
    ("e2e_*", ("tok.*", "*.caption_*", "*.noise", "*.prefix_video", "*.y_head", "*.mask_len")),
]


def _transport_runs(folder: Path, tensors: Mapping[str, Tensor]) -> dict[str, Mapping[str, Any]]:
    """The table entry of each run that the case has noise for."""
    files = sorted(folder.glob("transport_tables*.json"))
    if not files:
        raise Unsupported(f"the runs are configured in transport_tables.json, which is not in {folder.name}/")
    described = {run["name"]: run for file in files for run in json.loads(file.read_text())["runs"]}
    return {name: described[name] for name in (t.removesuffix(".noise") for t in tensors if t.endswith(".noise"))}


def _final(result: TransportRun, noise: Tensor) -> Tensor:
    """All latents after the last step: prefilled blocks are never touched and keep the noise they were drawn with."""
    final = noise.clone()
    size = result.planner_config.num_block_latents
    for block, latents in result.blocks.items():
        final[:, :, block * size : (block + 1) * size] = latents
    return final


def _integrate(description: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """One solver step of every block in a stage; the stage is written in the description of the output."""
    given = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", description)}
    x, velocity, times = (tensors[f"integrate.{name}"] for name in ("x", "v", "t"))
    num_blocks = given["t_end"] - given["t_start"]
    current = Stage(0, num_blocks, given["t_start"], given["t_end"])
    levels = [Level(index, float(time), 1.0 - float(time)) for index, time in enumerate(times)]
    solver = VelocitySolver(VelocityConfig())
    parts = []
    for block, (part, v) in enumerate(zip(x.chunk(num_blocks, 2), velocity.chunk(num_blocks, 2), strict=True)):
        index = current.level_index(block, given["i"], num_stage_steps=given["denoise_step_per_stage"])
        moved, _ = solver.update(
            part, v, level=levels[index], target=levels[index + 1], noise=lambda: torch.empty(0), history=None
        )
        parts.append(moved)
    return torch.cat(parts, dim=2)


def _remade(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run of the table. Captions are inputs: their token counts are those of the first denoising forward."""
    num_text_tokens, *_, num_null_tokens = run["steps"][0]["forwards"][-1]["caption_tokens"]
    size = run["runtime_config"]["chunk_width"]
    _, num_channels, num_latents, height, width = run["latent_size"]
    num_prefix_latents = run["prefix_latent_frames"]
    prefix = torch.zeros(1, num_channels, num_prefix_latents, height, width) if num_prefix_latents else None
    result = execute(run, noise=torch.zeros(1, num_channels, num_latents, height, width), prefix=prefix)
    steps = table(result, num_text_tokens=num_text_tokens, num_null_tokens=num_null_tokens)
    made = {
        "chunk_num": result.num_blocks,
        "latent_size": [1, num_channels, result.num_blocks * size, height, width],
        "total_forward_steps": len(steps),
        "emitted": [step["emits"]["chunk"] for step in steps if step["emits"] is not None],
        "steps": steps,
    }
    return {**_inputs(run, "name", "runtime_config", "engine_config", "prefix_latent_frames"), **made}


def _time_table(row: Mapping[str, Any]) -> dict[str, Any]:
    chosen = row["t_schedule_config"]
    times = time_table(
        row["num_steps"],
        spacing=chosen.get("tSchedulerFunc", "sd3"),
        shift=chosen.get("shift", 3.0),
        shortcut=row["shortcut_mode"],
    )
    return {**_inputs(row, "num_steps", "shortcut_mode", "t_schedule_config"), "t": list(times)}


def _intervals(row: Mapping[str, Any]) -> dict[str, Any]:
    intervals = step_intervals(row["num_steps"], shortcut=row["shortcut_mode"])
    return {**_inputs(row, "num_steps", "shortcut_mode"), "interval": list(intervals)}


def _sequences(row: Mapping[str, Any]) -> dict[str, Any]:
    made = stages(row["chunk_num"], window=row["window_size"], num_prefix_blocks=row["chunk_offset"])
    return {
        **_inputs(row, "chunk_num", "window_size", "chunk_offset"),
        "clip_start": [one.first_block for one in made],
        "clip_end": [one.end_block for one in made],
        "t_start": [one.first_place for one in made],
        "t_end": [one.end_place for one in made],
    }


def _guidance(row: Mapping[str, Any]) -> dict[str, Any]:
    scales = GuidanceScales(row["cfg_t_range"], row["prev_chunk_scales"], row["text_scales"])
    history, text = zip(*(scales.scales(time) for time in row["t"]), strict=True)
    given = _inputs(row, "cfg_t_range", "prev_chunk_scales", "text_scales", "t", "mixing")
    return {**given, "prev_chunk_scale": list(history), "text_scale": list(text)}


def _inputs(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What a table gives; everything else in it has to be made."""
    return {name: row[name] for name in names if name in row}
