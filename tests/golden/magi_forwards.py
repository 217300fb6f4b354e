"""Runners of MAGI-1's golden cases that are single forwards, or a few over one cache.

A "chunk" of the cases is our block; `kv_range` counts tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from inferix_core.contracts.model import Condition
from inferix_core.plan import Entry, Level, Pass
from inferix_magi.guidance import NULL, TEXT
from inferix_magi.schedule import step_size
from magi_network import CPU, Forwards, Recorded, as_latents, network_of
from torch import Tensor

Tensors = dict[str, Tensor]


def run_forwards(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Calls without a cache: one chunk, without its caption, several chunks, chunks that are each alone."""
    network = network_of(case, tensors)
    outputs: dict[str, Tensor] = {}
    for tag in ("single", "single_null", "multi", "uncond_batch"):
        given = {name.removeprefix(f"{tag}."): one for name, one in tensors.items() if name.startswith(f"{tag}.")}
        x = as_latents(given["x"])
        forwards = Forwards(network, latent_size=(x.shape[3], x.shape[4]), num_worlds=len(x))
        size = case["call"]["single"]["chunk_width"]
        branch = NULL if bool(given["caption_dropout_mask"][0]) else TEXT
        recorded = _chunks(forwards, given, size=size, branch=branch, alone=tag == "uncond_batch")
        outputs |= {f"{tag}.{name}": value for name, value in _written(forwards, recorded, given, size=size).items()}
    return outputs


def run_cache(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """A row of calls over one cache: prefix, text and null passes, a clean chunk before others, one passed twice."""
    call, network = case["call"], network_of(case, tensors)
    x = tensors["c0_no_cache.x"]
    forwards = Forwards(network, latent_size=(x.shape[3], x.shape[4]))
    outputs: dict[str, Tensor] = {}
    for one in call["sequence"]:
        tag = one["tag"]
        given = {name.removeprefix(f"{tag}."): value for name, value in tensors.items() if name.startswith(f"{tag}.")}
        forwards.commit(one["slice_point"] * call["chunk_width"])
        recorded = _chunks(
            forwards,
            given,
            size=call["chunk_width"],
            branch=NULL if one["caption_dropout"] else TEXT,
            first=one["slice_point"],
            repeats_first=one.get("distill_nearly_clean_chunk", False),
        )
        outputs |= {f"{tag}.{name}": value for name, value in _results(recorded).items()}
        for layer in range(len(network.layers)):
            if num_rows := one["cache_rows_recorded"]:
                outputs[f"{tag}.cache.layer{layer}"] = forwards.cache_rows(layer, num_tokens=num_rows)
    return outputs


def run_step_sizes(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """The second time embedding of distilled models."""
    network, size = network_of(case, tensors), case["call"]["chunk_width"]
    x = tensors["x"]
    outputs: dict[str, Tensor] = {}
    for variant in case["call"]["variants"]:
        forwards = Forwards(network, latent_size=(x.shape[3], x.shape[4]))
        told = step_size(variant["num_steps"], interval=variant["distill_interval"])
        recorded = _chunks(forwards, tensors, size=size, branch=TEXT, told_step=told)
        outputs[f"{variant['tag']}.condition"] = recorded.condition[:, ::size]
        outputs[f"{variant['tag']}.out"] = as_latents(recorded.velocity)
    embedder = network.t_embedder
    outputs["nodistill.t_emb"] = embedder([tensors["t"].flatten().tolist()], dtype=torch.float32, device=CPU)[0]
    outputs["dt_emb"] = embedder([tensors["dt_values"].tolist()], dtype=torch.float32, device=CPU)[0]
    return outputs


def run_bfloat16(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """A forward in mixed precision, and the same in float32."""
    outputs: dict[str, Tensor] = {}
    size, x = case["call"]["chunk_width"], tensors["x"]
    for dtype in (torch.bfloat16, torch.float32):
        network = network_of(case, tensors, dtype=dtype)
        forwards = Forwards(network, latent_size=(x.shape[3], x.shape[4]))
        recorded = _chunks(forwards, tensors, size=size, branch=TEXT)
        if dtype == torch.float32:
            outputs["out_fp32"] = as_latents(recorded.velocity)
            continue
        written = _written(forwards, recorded, tensors, size=size)
        renamed = {name.removeprefix("inter."): value for name, value in written.items()}
        outputs |= {name: value.float() for name, value in renamed.items()}
    return outputs


def _chunks(
    forwards: Forwards,
    given: Mapping[str, Tensor],
    *,
    size: int,
    branch: str,
    first: int = 0,
    alone: bool = False,
    repeats_first: bool = False,
    told_step: float | None = None,
) -> Recorded:
    """A forward over chunks in a row; with `alone` every row of the batch is a chunk that sees itself alone."""
    times = given["t"]
    blocks = range(first, first + times.shape[1])
    entries = [
        _entry(block, size=size, time=float(time), branch=branch) for block, time in zip(blocks, times[0], strict=True)
    ]
    if repeats_first:
        entries[-1] = _repeated(entries[0], at=entries[-1].latents.start, time=float(times[0, -1]))
    if alone:
        entries = [_repeated(entries[0], at=0, time=float(times[0, 0]))]
    captions = _captions(forwards, given, num_worlds=len(times))
    return forwards.run(
        as_latents(given["x"]),
        Pass(tuple(entries), step_size=told_step),
        captions=captions,
        ranges=token_ranges(given["kv_range"], first=first, tokens_per_latent=forwards.tokens_per_latent),
        latent_times=[[float(time) for time in of_world for _ in range(size)] for of_world in times],
    )


def token_ranges(kv_range: Tensor, *, first: int, tokens_per_latent: int) -> dict[int, range]:
    """Rows (start, end) of tokens as the latents that each block sees."""
    rows = [[bound // tokens_per_latent for bound in row] for row in kv_range.tolist()]
    return {first + index: range(start, end) for index, (start, end) in enumerate(rows)}


def _captions(forwards: Forwards, given: Mapping[str, Tensor], *, num_worlds: int) -> list[list[Condition]]:
    """One for each chunk of each world, in that order in `y`."""
    made = [forwards.caption(rows[0], mask[0]) for rows, mask in zip(given["y"], given["xattn_mask"], strict=True)]
    num_chunks = len(made) // num_worlds
    return [made[index : index + num_chunks] for index in range(0, len(made), num_chunks)]


def _entry(block: int, *, size: int, time: float, branch: str) -> Entry:
    span = range(block * size, (block + 1) * size)
    return Entry(block, span, span.start, Level(0, time, 0.0), branch)


def _repeated(entry: Entry, *, at: int, time: float) -> Entry:
    return Entry(entry.block, entry.latents, at, Level(0, time, 0.0), entry.branch, (entry.block,), reads_cache=False)


def _results(recorded: Recorded) -> dict[str, Tensor]:
    """The velocity and what each layer made, as the cases write them."""
    made = {f"inter.{name}": one.transpose(0, 1) for name, one in recorded.parts.items() if name.endswith(".out")}
    return {"out": as_latents(recorded.velocity), **made}


def _written(forwards: Forwards, recorded: Recorded, given: Mapping[str, Tensor], *, size: int) -> dict[str, Tensor]:
    """The same with all intermediates."""
    num_worlds, num_tokens = recorded.state.tokens.shape[:2]
    num_chunks, tokens_per_chunk = given["t"].shape[1], size * forwards.tokens_per_latent
    lengths = [int(mask.sum()) for mask in given["xattn_mask"]]
    captions = _captions(forwards, given, num_worlds=num_worlds)
    chunk_of = torch.arange(num_tokens)[:, None] // tokens_per_chunk + num_chunks * torch.arange(num_worlds)
    cosine, sine = recorded.state.rotary.table([range(num_chunks * size)])[0].unbind(-1)
    bounds = _cumulative([tokens_per_chunk] * num_chunks * num_worlds)
    intermediates = {f"inter.{name}": one.transpose(0, 1) for name, one in recorded.parts.items()}
    intermediates["inter.layer0.ada_out"] = recorded.parts["layer0.ada_out"][:, ::size]
    return {
        **_results(recorded),
        **intermediates,
        "pre.emb_x": recorded.state.tokens.transpose(0, 1),
        "pre.condition": recorded.condition[:, ::size],
        "pre.condition_map": chunk_of,
        "pre.y_xattn_flat": torch.cat([one.tokens[0] for of_world in captions for one in of_world]),
        "pre.rope": torch.cat([sine, cosine], dim=-1),
        "pre.q_range": torch.stack([bounds[:-1], bounds[1:]], dim=1),
        "pre.cu_seqlens_q": bounds,
        "pre.cu_seqlens_kv": _cumulative(lengths),
    }


def _cumulative(lengths: Sequence[int]) -> Tensor:
    return torch.cumsum(torch.tensor([0, *lengths]), dim=0)
