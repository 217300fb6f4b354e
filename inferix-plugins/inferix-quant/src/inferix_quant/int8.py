"""The `int8` quantizer.

Letters: M tokens, N output channels, K input channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from inferix_core.contracts.quantizer import Quantizer
from torch import Tensor, nn

from inferix_quant.config import Int8Config
from inferix_quant.linear_quantizer import LinearQuantizer
from inferix_quant.packed_linear import PackedLinear
from inferix_quant.rules import int8_rows

_MOST_DEQUANTISED_ROWS = 16
_MULTIPLE = 8
"""The integer product of CUDA takes more than 16 rows, and sides that are multiples of 8."""


def int8_quantizer(config: Int8Config, *, device: torch.device) -> Quantizer:
    """The quantizer that the configuration asks for. Raises `UnsupportedError` where torchao is wanted and missing."""
    if config.backend == "torchao":
        from inferix_quant.torchao_backend import torchao_int8

        return torchao_int8(config)
    return LinearQuantizer(config, stand_in=Int8Linear, pack=pack_int8)


def pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The codes [N, K] and scales [N] of a weight."""
    codes, scale = int8_rows(weight.float())
    return codes, scale.squeeze(-1)


class Int8Linear(PackedLinear):
    """Multiplies codes by codes in int32, or dequantises the weights for a handful of tokens.

    Which of the two depends on the shapes alone, so the results do not depend on the device.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear, dtype=torch.int8)

    def multiply(self, rows: Tensor) -> Tensor:
        """See `PackedLinear.multiply`."""
        if rows.shape[0] <= _MOST_DEQUANTISED_ROWS or self.in_features % _MULTIPLE or self.out_features % _MULTIPLE:
            weight = self.weight.to(rows.dtype) * self.weight_scale.to(rows.dtype).unsqueeze(-1)
            return F.linear(rows, weight, self.bias)
        codes, scale = int8_rows(rows)
        product = torch._int_mm(codes, self.weight.t()).float()  # [M, N], exact below 2**24
        y = product.mul_(scale).mul_(self.weight_scale).to(rows.dtype)
        return y if self.bias is None else y.add_(self.bias)
