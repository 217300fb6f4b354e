"""Seeded random weights, for benches, smoke tests and the start of a training."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from inferix_core import initialisation
from torch import Tensor, nn

_TABLES = ("modulation",)


def initialise(module: nn.Module, *, seed: int) -> None:
    """Fills every parameter from `seed`: see the core's `initialise`. Modulations are small learned tables."""
    initialisation.initialise(module, seed=seed, tables=_TABLES)


def random_weights(
    module: nn.Module, *, seed: int, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """The parameters that `initialise` would give the module, which may be on the meta device, made one by one."""
    return initialisation.random_weights(module, seed=seed, device=device, dtype=dtype, tables=_TABLES)
