"""From a process that torchrun has started to a rank among ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from inferix_core.contracts.parallel import Ranks
from inferix_core.errors import ConfigError, RankError
from inferix_core.ranks.comparison import compare, described
from inferix_core.ranks.environment import RankEnvironment, rank_environment
from inferix_core.ranks.line import Line
from inferix_core.ranks.store import under
from inferix_core.runtime.building import choose_device
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig
    from inferix_core.configuration.skeleton import RanksSection


@dataclass(frozen=True, slots=True)
class Membership:
    """A process among the ranks of its run; `line` is None where it is the only one."""

    ranks: Ranks
    line: Line | None = None


def join(config: ResolvedConfig, catalog: Catalog) -> Membership:
    """The place of this process, once all ranks have met and found that they are alike.

    Raises `ConfigError` for ranks that cannot be as they are asked for, `RankError` for one that does not come or is
    not like the others.
    """
    settings, place = config.run.ranks, rank_environment()
    if config.selected(Kind.PARALLEL) is None:
        if settings.count not in (None, 1):
            raise ConfigError(
                f"ranks.count = {settings.count}, but nothing says how a world is spread over them: set parallel.use, "
                f"e.g. to 'ulysses'. Installed: {', '.join(config.installed[Kind.PARALLEL]) or 'none'}."
            )
        return Membership(Ranks(0, 1, choose_device(config.run.device)))
    check_count(settings.count, place)
    if place.num_ranks == 1:
        return Membership(Ranks(0, 1, choose_device(config.run.device)))
    device = _device_of(config.run.device, place)
    backend = _backend_of(settings, device)
    if dist.is_initialized():
        raise ConfigError("This process has joined its ranks already: close the engine that has before making another.")
    store = _met(place, settings)
    number = store.add(f"inferix/engines/{place.rank}", 1)
    own = under(f"inferix/{number}", store)
    line = Line(
        own,
        own.clone(),
        rank=place.rank,
        num_ranks=place.num_ranks,
        timeout_seconds=settings.timeout_seconds,
        join_timeout_seconds=settings.join_timeout_seconds,
    )
    try:
        compare(line, described(config, catalog))
        dist.init_process_group(
            backend,
            store=under("collectives", own),  # type: ignore[arg-type]
            rank=place.rank,
            world_size=place.num_ranks,
            timeout=timedelta(seconds=settings.collective_timeout_seconds),
        )
    except BaseException:
        line.close()
        raise
    return Membership(Ranks(place.rank, place.num_ranks, device), line)


def check_count(asked: int | None, place: RankEnvironment) -> None:
    """Raises `ConfigError` where as many ranks were asked for as there are not."""
    if asked is None or asked == place.num_ranks:
        return
    if place.num_ranks == 1:
        raise ConfigError(
            f"{asked} ranks were asked for, but this process is alone. Use `inferix generate … --ranks {asked}`, or "
            f"start the program with torchrun --nproc-per-node {asked}."
        )
    raise ConfigError(
        f"{asked} ranks were asked for, but torchrun has started {place.num_ranks}. Ask for {place.num_ranks}, or "
        "leave the number out."
    )


def leave(membership: Membership) -> None:
    """Ends what `join` has begun."""
    if membership.line is not None:
        membership.line.close()
    if dist.is_initialized():
        dist.destroy_process_group()


def _met(place: RankEnvironment, settings: RanksSection) -> Any:
    """The store that all ranks share. Raises `RankError` where it is not reached in time."""
    timeout = timedelta(seconds=settings.join_timeout_seconds)
    with _meeting(settings):
        store, _, _ = next(rendezvous("env://", place.rank, place.num_ranks, timeout=timeout))
    store.set_timeout(timeout)
    return store


@contextmanager
def _meeting(settings: RanksSection) -> Iterator[None]:
    try:
        yield
    except (dist.DistError, RuntimeError, OSError) as error:
        raise RankError(
            f"The ranks have not met within {settings.join_timeout_seconds:g} s at MASTER_ADDR and MASTER_PORT: "
            f"{str(error).splitlines()[0]}. Start all of them, and let the machines reach one another."
        ) from error


def _device_of(name: str, place: RankEnvironment) -> torch.device:
    device = choose_device(name)
    if device.type != "cuda" or device.index is not None:
        return device
    if place.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"Rank {place.rank} is number {place.local_rank} on its machine, which has {torch.cuda.device_count()} "
            "CUDA devices. Start at most one rank for each, or set device = 'cpu'."
        )
    device = torch.device("cuda", place.local_rank)
    torch.cuda.set_device(device)
    return device


def _backend_of(settings: RanksSection, device: torch.device) -> str:
    if settings.backend == "nccl" and device.type != "cuda":
        raise ConfigError(
            f"ranks.backend = 'nccl' was asked for, but the device is {device.type}: NCCL connects CUDA devices alone. "
            "Use 'gloo' or 'auto'."
        )
    if settings.backend == "auto":
        return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    return "cpu:gloo,cuda:nccl" if settings.backend == "nccl" else "gloo"
