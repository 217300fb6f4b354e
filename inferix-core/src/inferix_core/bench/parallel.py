"""What a block costs on several ranks: its time, what they send, and what each of them keeps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from inferix_core.bench.interface import LOOPBACK, Sent, sent_by
from inferix_core.bench.pairs import num_blocks_to_fill
from inferix_core.bench.spans import wait_for
from inferix_core.contracts.workload import CountedStrategy, Workload, outline_of_layout
from inferix_core.ranks.joining import Membership, join, leave
from inferix_core.runtime.building import build_parts, choose_dtype
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.shapes import block_shapes
from inferix_core.runtime.sight import Sight
from inferix_core.runtime.threads import Threads
from inferix_core.specs import Kind
from inferix_core.workload import outline_of, workload_of

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig
    from inferix_core.plan import Geometry
    from inferix_core.runtime.loop import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedCost:
    """Of one number of ranks, for each block: the median time of the slowest rank, without decoding.

    `num_formula_bytes` are what all ranks together send by the strategy's own count, None where it does not count;
    `num_wire_bytes` what the interface counted, less the headers of IP and TCP, and `num_interface_bytes` with them:
    None where ranks do not talk over one. `num_kv_bytes` are those of the rank that keeps most. `is_alone` says that
    nothing else could send over that interface.
    """

    num_ranks: int
    strategy: str
    milliseconds: float
    num_formula_bytes: float | None
    num_wire_bytes: float | None
    num_interface_bytes: float | None
    num_kv_bytes: int
    num_blocks: int
    device: str
    dtype: str
    is_alone: bool = False

    @property
    def excess(self) -> float | None:
        """By what share more went over the wire than the formula says."""
        if not self.num_formula_bytes or self.num_wire_bytes is None:
            return None
        return self.num_wire_bytes / self.num_formula_bytes - 1


def measure_rank(
    config: ResolvedConfig, catalog: Catalog, *, prompt: str | None, num_blocks: int, is_alone: bool = False
) -> RankedCost | None:
    """What this process and the others of its run measure together; None on all ranks but the first.

    Every rank steps its world by itself, so that nothing but the tensors of passes is sent meanwhile.
    """
    membership = join(config, catalog)
    if membership.line is not None:
        membership.line.close()  # its signs of life would be counted
    ranks = membership.ranks
    try:
        dtype = choose_dtype(config.run.dtype, ranks.device)
        parts, _ = build_parts(config, catalog, membership=Membership(ranks), dtype=dtype)
        threads = Threads(network=config.run.num_threads, decoder=1)
        engine = Engine(parts, _NoFrames(parts.model.geometry), threads=threads)
        num_filling = num_blocks_to_fill(engine)
        with engine.create_world(prompt, seed=0) as world:
            for _ in range(num_filling):
                world.step()
            before = _sent(ranks.num_ranks, ranks.device)
            seconds = []
            for _ in range(num_blocks):
                start = time.perf_counter()
                world.step()
                wait_for(ranks.device)
                seconds.append(time.perf_counter() - start)
            after = _sent(ranks.num_ranks, ranks.device)
            found = _on_all((median(seconds), world.num_kv_bytes), ranks.num_ranks)
        if ranks.rank:
            return None
        sent = None if before is None or after is None else after.since(before)
        formula = _formula_bytes(config, parts, num_filling=num_filling, num_blocks=num_blocks)
        return RankedCost(
            num_ranks=ranks.num_ranks,
            strategy=config.required(Kind.PARALLEL).component.name,
            milliseconds=1000 * max(one for one, _ in found),
            num_formula_bytes=None if formula is None else formula / num_blocks,
            num_wire_bytes=None if sent is None else sent.payload_bytes / num_blocks,
            num_interface_bytes=None if sent is None else sent.num_bytes / num_blocks,
            num_kv_bytes=max(one for _, one in found),
            num_blocks=num_blocks,
            device=str(ranks.device),
            dtype=str(dtype).removeprefix("torch."),
            is_alone=is_alone,
        )
    finally:
        leave(Membership(ranks))


def _sent(num_ranks: int, device: torch.device) -> Sent | None:
    """What the ranks have sent, once all are here and before any goes on; None where they use no interface."""
    if num_ranks == 1 or device.type == "cuda":
        return None
    dist.barrier()
    sent = sent_by(LOOPBACK)
    dist.barrier()
    return sent


def _on_all(value: Any, num_ranks: int) -> list[Any]:
    """Every rank's value."""
    if num_ranks == 1:
        return [value]
    found: list[Any] = [None] * num_ranks
    dist.all_gather_object(found, value)
    return found


def _formula_bytes(config: ResolvedConfig, parts: Parts, *, num_filling: int, num_blocks: int) -> float | None:
    """What all ranks together send for the timed blocks; None for a strategy that does not count."""
    if parts.spread is None or "counted" not in config.required(Kind.PARALLEL).component.spec.provides:
        return None
    strategy = cast("CountedStrategy", parts.spread.strategy)
    model = parts.model
    outline = outline_of(config) if config.model.outline else outline_of_layout(model.geometry, model.layout)
    workload: Workload = workload_of(config, outline=outline, item_bytes=model.dtype.itemsize)
    sight = Sight(parts.policy, needs_relevance=parts.needs_relevance)
    blocks = block_shapes(parts.planner, sight, num_blocks=num_filling + num_blocks)[num_filling:]
    total = 0.0
    for one in (passed for block in blocks for passed in block.passes):
        total += model.layout.num_layers * sum(strategy.num_bytes_sent(one, dtype=model.dtype))
        total += sum(workload.engine_bytes(one, parts.spread.shares))
    return total


class _NoFrames:
    """A decoder that makes grey frames in no time: ranks are measured, and one of them decodes."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `Decoder.decode`; the state counts latents."""
        start = state or 0
        end = start + len(latents)
        num_frames = self._geometry.num_frames(range(start, end))
        shape = (num_frames, 3, self._geometry.frame_height, self._geometry.frame_width)
        return torch.zeros(1, 1, 1, 1).expand(shape), end
