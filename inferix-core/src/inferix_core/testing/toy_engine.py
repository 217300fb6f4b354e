"""An engine made of toys and of the plain defaults, for tests of the runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from inferix_core.contracts.model import Model
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.loop import Parts
from inferix_core.specs import ComponentConfig
from inferix_core.testing.toys import ToyDecoder, ToyModel, ToyPlanner, ToySolver


def toy_store(model: Model, *, max_latents: int | None = None) -> DenseStore:
    """A dense store for the pages of `model`, on the CPU."""
    config = DenseConfig(max_latents=max_latents)
    return DenseStore(config, layout=model.layout, capacity=None, device=torch.device("cpu"), dtype=model.dtype)


def toy_engine(**changes: Any) -> Engine:
    """An engine over a `ToyModel`; `changes` replace fields of its `Parts`, or its `decoder`."""
    decoder = changes.pop("decoder", None) or ToyDecoder()
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
    return Engine(replace(parts, **changes), decoder)
