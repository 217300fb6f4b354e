"""Seeded random weights, for benches, smoke tests and the start of a training."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn


def initialise(module: nn.Module, *, seed: int, tables: tuple[str, ...] = ()) -> None:
    """Fills every parameter from `seed` so that activations keep their scale; touches no global random state.

    Matrices and kernels are normal with a variance of 1 over their inputs, biases are 0, weights of norms are 1, and
    learned `tables`, told by how their names end, have rows of length 1. The same seed gives the same weights on
    devices of one type.
    """
    generator: torch.Generator | None = None
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if generator is None:
                generator = torch.Generator(parameter.device).manual_seed(seed)
            _fill(name, parameter, generator, tables)


def random_weights(
    module: nn.Module, *, seed: int, device: torch.device, dtype: torch.dtype, tables: tuple[str, ...] = ()
) -> Iterator[tuple[str, Tensor]]:
    """The parameters that `initialise` would give the module, which may be on the meta device, made one by one."""
    generator = torch.Generator(device).manual_seed(seed)
    for name, parameter in module.named_parameters():
        yield name, _fill(name, torch.empty(parameter.shape, device=device, dtype=dtype), generator, tables)


def _fill(name: str, parameter: Tensor, generator: torch.Generator, tables: tuple[str, ...]) -> Tensor:
    if name.endswith("bias"):
        return parameter.zero_()
    if name.endswith(tables):
        return parameter.normal_(std=1.0 / math.sqrt(parameter.shape[-1]), generator=generator)
    if _is_gain(parameter):
        return parameter.fill_(1.0)
    return parameter.normal_(std=1.0 / math.sqrt(parameter[0].numel()), generator=generator)


def _is_gain(parameter: Tensor) -> bool:
    """Whether it scales channels: a vector, or one with trailing axes of size 1."""
    return parameter.numel() == parameter.shape[0]
