"""The strategy that is predicted to be best for the workload on the ranks that are here."""

from __future__ import annotations

from pathlib import Path

import torch
from inferix_core.contracts.parallel import ParallelStrategy, Ranks
from inferix_core.contracts.workload import Workload
from inferix_core.plan import KVLayout
from loguru import logger

from inferix_parallel.choice import Candidate, choose
from inferix_parallel.configuration import AutomaticConfig, PipelineConfig
from inferix_parallel.degrees import Degrees
from inferix_parallel.pipeline import Pipeline
from inferix_parallel.probing import probed_topology
from inferix_parallel.sequence import SequenceParallel
from inferix_parallel.topology import Topology, named_topology

_DTYPES = {2: torch.bfloat16, 4: torch.float32}


def automatic(
    config: AutomaticConfig, *, ranks: Ranks, layout: KVLayout, num_heads: int | None, workload: Workload
) -> ParallelStrategy:
    """The chosen strategy, on every rank the same; the log says why. Collective where the topology is measured."""
    if ranks.num_ranks == 1:
        return SequenceParallel(Degrees(), ranks=ranks, layout=layout, num_heads=num_heads)
    topology = _topology(config, ranks, workload)
    choice = choose(workload, topology, uses_all_ranks=True)
    if ranks.rank == 0:
        logger.info(f"parallel: {choice.chosen.label} over {topology.num_ranks} ranks ({topology.source} topology)")
        for one in choice.candidates:
            logger.info(f"parallel: {described(one)}")
        single = next(one for one in choice.candidates if one.strategy == "none")
        if (
            single.prediction
            and choice.chosen.prediction
            and single.prediction.seconds < choice.chosen.prediction.seconds
        ):
            logger.warning(f"One rank alone would be faster than {topology.num_ranks}: this world is small for them.")
    return _built(choice.chosen, ranks=ranks, layout=layout, num_heads=num_heads)


def described(candidate: Candidate) -> str:
    """A candidate in one line."""
    if (prediction := candidate.prediction) is None:
        return f"{candidate.label}: cannot be. {candidate.reason}"
    return (
        f"{candidate.label}: {1000 * prediction.seconds:.1f} ms, {prediction.sent_bytes / 1e6:.2f} MB sent and "
        f"{prediction.kv_bytes / 2**20:.1f} MiB kept by a rank for each block. {candidate.reason}"
    )


def _topology(config: AutomaticConfig, ranks: Ranks, workload: Workload) -> Topology:
    if config.topology is not None:
        return named_topology(config.topology, num_ranks=ranks.num_ranks)
    cache = None if config.cache is None else Path(config.cache)
    return probed_topology(ranks, dtype=_DTYPES.get(workload.item_bytes, torch.float32), cache=cache)


def _built(chosen: Candidate, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
    if chosen.strategy == "pipeline":
        return Pipeline(PipelineConfig(), ranks=ranks, layout=layout, num_heads=num_heads)
    return SequenceParallel(chosen.degrees, ranks=ranks, layout=layout, num_heads=num_heads, passes=chosen.passes)
