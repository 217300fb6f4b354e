"""Seeded random weights of a transformer, for benches and smoke tests."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from inferix_core.initialisation import random_weights
from torch import Tensor, nn

from inferix_magi.transformer.attention import PlusOneNorm
from inferix_magi.transformer.precision import weight_dtype

_PERIOD = 10000.0
_BANDS = "rope.bands"


def random_transformer_weights(
    transformer: nn.Module, *, seed: int, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """The parameters, one by one, of a transformer that may be on the meta device; what `weight_dtype` says is wide."""
    norms = {f"{name}.weight" for name, module in transformer.named_modules() if isinstance(module, PlusOneNorm)}
    for name, drawn in random_weights(transformer, seed=seed, device=device, dtype=torch.float32):
        tensor = drawn
        if name in norms:
            tensor = torch.zeros_like(drawn)
        elif name == _BANDS:
            tensor = _PERIOD ** (-torch.arange(len(drawn), device=device) / len(drawn))
        yield name, tensor.to(weight_dtype(name, dtype=dtype))
