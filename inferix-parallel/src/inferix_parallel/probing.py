"""The topology of the ranks that are here, measured: a second's exchange of messages, and a few products."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from inferix_core.contracts.parallel import Ranks

from inferix_parallel.topology import Link, Topology, read_topology, write_topology

_SMALL, _LARGE = 2**10, 2**22
"""Bytes of the messages that latency and bandwidth are told by."""
_NUM_ROUNDS = 5
_MATRIX = {"cpu": 512}
_LARGE_MATRIX = 4096


def probed_topology(ranks: Ranks, *, dtype: torch.dtype, cache: Path | None = None) -> Topology:
    """What the ranks of the default group are, the same on every rank. Collective; takes about a second.

    With a `cache` rank 0 reads it from that file where it fits as many ranks on as many machines, and writes it there
    where not.
    """
    machines = _machines(ranks)
    known = _known(cache, num_ranks=ranks.num_ranks, num_machines=len(set(machines))) if ranks.rank == 0 else None
    if (topology := _from_first(known)) is not None:
        return topology
    measured = _measured(ranks, machines, dtype=dtype)
    if ranks.rank == 0 and cache is not None:
        write_topology(measured, cache)
    return measured


def _known(cache: Path | None, *, num_ranks: int, num_machines: int) -> Topology | None:
    if cache is None or not cache.exists():
        return None
    found = read_topology(cache)
    if (found.num_ranks, found.num_machines) != (num_ranks, num_machines):
        return None
    return replace(found, source=f"{found.source}, measured before")


def _measured(ranks: Ranks, machines: Sequence[str], *, dtype: torch.dtype) -> Topology:
    mine = machines[ranks.rank]
    neighbours = [rank for rank, machine in enumerate(machines) if machine == mine]
    within = _link(ranks, _next_of(ranks.rank, neighbours), _previous_of(ranks.rank, neighbours), num_senders=1)
    between = within
    num_machines = len(set(machines))
    if num_machines > 1:
        step = max(machines.count(machine) for machine in machines)  # the same everywhere, and beyond every machine
        after, before = (ranks.rank + step) % ranks.num_ranks, (ranks.rank - step) % ranks.num_ranks
        between = _link(ranks, after, before, num_senders=step)
    return Topology(
        num_ranks=ranks.num_ranks,
        num_machines=num_machines,
        within=within,
        between=between,
        flops_per_second=_slowest(ranks, _flops_per_second(ranks.device, dtype)),
        memory_bytes=_slowest(ranks, _memory_bytes(ranks.device)) if ranks.device.type == "cuda" else None,
        source="measured",
    )


def _machines(ranks: Ranks) -> list[str]:
    """The name of every rank's machine."""
    found: list[str] = [""] * ranks.num_ranks
    dist.all_gather_object(found, socket.gethostname())
    return found


def _from_first(topology: Topology | None) -> Topology | None:
    """What rank 0 has, on every rank."""
    told = [topology]
    dist.broadcast_object_list(told, src=0)
    return told[0]


def _link(ranks: Ranks, after: int, before: int, *, num_senders: int) -> Link:
    """The slowest of the links on which every rank sends to one and receives from another at once.

    `num_senders` share what a machine has. What a large message takes beyond a small one tells the bandwidth, but no
    less than half of what it takes: on a busy machine a small one may take as long.
    """
    small, large = (
        _longest(ranks, _seconds_to_pass(ranks, num_bytes, after, before)) for num_bytes in (_SMALL, _LARGE)
    )
    return Link(small, num_senders * (_LARGE - _SMALL) / max(large - small, large / 2, 1e-9))


def _seconds_to_pass(ranks: Ranks, num_bytes: int, after: int, before: int) -> float:
    """The shortest time of some rounds: others of the machine's programs make rounds longer, none shorter.

    A rank that would send to itself, alone on its machine, takes no time.
    """
    if after == ranks.rank:
        return 0.0
    sent = torch.zeros(num_bytes, dtype=torch.uint8, device=ranks.device)
    received = torch.empty_like(sent)

    def pass_on() -> None:
        works = dist.batch_isend_irecv([dist.P2POp(dist.isend, sent, after), dist.P2POp(dist.irecv, received, before)])
        for work in works:
            work.wait()

    return _shortest(pass_on, ranks.device)


def _flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    size = _MATRIX.get(device.type, _LARGE_MATRIX)
    a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / _shortest(lambda: torch.matmul(a, b), device)


def _memory_bytes(device: torch.device) -> float:
    """What the device has, less what others have taken; weights and pages that are there already count as free."""
    return float(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))


def _shortest(body: Callable[[], object], device: torch.device) -> float:
    shortest = float("inf")
    for _ in range(_NUM_ROUNDS + 1):
        _wait_for(device)
        start = time.perf_counter()
        body()
        _wait_for(device)
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _longest(ranks: Ranks, seconds: float) -> float:
    return _reduced(ranks, seconds, dist.ReduceOp.MAX)


def _slowest(ranks: Ranks, rate: float) -> float:
    return _reduced(ranks, rate, dist.ReduceOp.MIN)


def _reduced(ranks: Ranks, value: float, operation: dist.ReduceOp.RedOpType) -> float:
    """One number of all ranks' numbers, the same on each."""
    held = torch.tensor([value], dtype=torch.float64, device=ranks.device)
    dist.all_reduce(held, op=operation)
    return float(held.item())


def _next_of(rank: int, ring: Sequence[int]) -> int:
    return ring[(ring.index(rank) + 1) % len(ring)]


def _previous_of(rank: int, ring: Sequence[int]) -> int:
    return ring[(ring.index(rank) - 1) % len(ring)]
