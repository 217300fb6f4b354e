"""An engine made of toys and of the plain defaults, for tests of the runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from inferix_core.contracts.model import Model
from inferix_core.contracts.parallel import ParallelStrategy, Ranks
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import KVLayout
from inferix_core.ranks.joining import Membership
from inferix_core.ranks.line import Line
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.loop import Parts
from inferix_core.runtime.spread import Sharded
from inferix_core.specs import ComponentConfig
from inferix_core.testing.toys import ToyDecoder, ToyModel, ToyPlanner, ToySolver


def toy_store(model: Model, *, layout: KVLayout | None = None, max_latents: int | None = None) -> DenseStore:
    """A dense store for the pages of `model`, on the CPU; `layout` is what is kept where that is not all."""
    config = DenseConfig(max_latents=max_latents)
    return DenseStore(
        config, layout=layout or model.layout, capacity=None, device=torch.device("cpu"), dtype=model.dtype
    )


def spread_toy_engine(
    strategy: ParallelStrategy,
    *,
    ranks: Ranks,
    model: Model,
    shards_tokens: bool = True,
    line: Line | None = None,
    **changes: Any,
) -> Engine:
    """The engine of one rank, which keeps what the strategy says in a dense store; `changes` as for `toy_engine`.

    Without a `line` every rank is to do the same; with it rank 0 drives.
    """
    spread = Sharded(strategy, ranks=ranks, whole=model.layout, shards_tokens=shards_tokens, line=line)
    store = toy_store(model, layout=spread.layout)
    return toy_engine(
        **{"model": model, "spread": spread, "store": store, **changes},
        membership=None if line is None else Membership(ranks, line),
    )


def toy_engine(**changes: Any) -> Engine:
    """An engine over a `ToyModel`; `changes` replace fields of its `Parts`, or arguments of `Engine`."""
    decoder = changes.pop("decoder", None) or ToyDecoder()
    arguments = {name: changes.pop(name) for name in ("membership", "num_rewind_blocks") if name in changes}
    model: Model = changes.get("model") or ToyModel()
    parts = Parts(
        model=model,
        planner=ToyPlanner(),
        solver=ToySolver(),
        store=toy_store(model),
        policy=FullPolicy(ComponentConfig()),
        backend=SdpaBackend(ComponentConfig()),
        relay=Relay(),
        device=torch.device("cpu"),
    )
    return Engine(replace(parts, **changes), decoder, **arguments)
