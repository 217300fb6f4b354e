"""The rules of DAX for one scale a row: bit-exact codes and scales.

Letters: M tokens, N output channels, K input channels. A row is a token of an activation, or an output channel of a
weight. Scales are float32 whatever the dtype of the values.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_SCALE = 2.0**-23
"""Below it a row of zeros would be divided by zero."""
_INT8_LARGEST = 127.0


def int8_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """The int8 codes of `x` [..., K] and the scales [..., 1]; x is about codes * scale."""
    scale = _row_scale(x, largest=_INT8_LARGEST)
    codes = (x * (1.0 / scale)).round_().clamp_(-_INT8_LARGEST - 1.0, _INT8_LARGEST)
    return codes.to(torch.int8), scale


def fp8_rows(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The codes of `x` [..., K] in an fp8 `dtype` and the scales [..., 1]; x is about codes * scale."""
    largest = torch.finfo(dtype).max
    scale = _row_scale(x, largest=largest)
    return (x / scale).clamp_(-largest, largest).to(dtype), scale


def _row_scale(x: Tensor, *, largest: float) -> Tensor:
    """[..., 1] float32; the arithmetic before the cast is in x's dtype, as in DAX."""
    return (x.abs().amax(-1, keepdim=True) / largest).clamp_(min=SMALLEST_SCALE).float()
