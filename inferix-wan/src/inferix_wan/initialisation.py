"""Seeded random weights, for benches, smoke tests and the start of a training."""

from __future__ import annotations

import math

import torch
from torch import nn


def initialise(module: nn.Module, *, seed: int) -> None:
    """Fills every parameter from `seed` so that activations keep their scale; touches no global random state.

    Matrices and kernels are normal with a variance of 1 over their inputs, biases are 0, weights of norms are 1,
    and learned tables (`modulation`) are small. The same seed gives the same weights on devices of one type.
    """
    generator: torch.Generator | None = None
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if generator is None:
                generator = torch.Generator(parameter.device).manual_seed(seed)
            if name.endswith("bias"):
                parameter.zero_()
            elif name.endswith("modulation"):
                parameter.normal_(std=1.0 / math.sqrt(parameter.shape[-1]), generator=generator)
            elif _is_gain(parameter):
                parameter.fill_(1.0)
            else:
                num_inputs = parameter[0].numel()
                parameter.normal_(std=1.0 / math.sqrt(num_inputs), generator=generator)


def _is_gain(parameter: torch.Tensor) -> bool:
    """Whether it scales channels: a vector, or one with trailing axes of size 1."""
    return parameter.numel() == parameter.shape[0]
