"""The `fp8` quantizer.

Letters: M tokens, N output channels, K input channels.
"""

from __future__ import annotations

from functools import partial

import torch
from inferix_core.contracts.quantizer import Quantizer
from torch import Tensor, nn

from inferix_quant.config import Fp8Config
from inferix_quant.linear_quantizer import LinearQuantizer
from inferix_quant.packed_linear import PackedLinear
from inferix_quant.rules import fp8_rows

_WEIGHT = torch.float8_e4m3fn
_ACTIVATIONS = {"e5m2": torch.float8_e5m2, "e4m3": torch.float8_e4m3fn}
_FIRST_CAPABILITY = (8, 9)
_MULTIPLE = 16
"""The fp8 product of CUDA takes sides that are multiples of 16."""


def fp8_quantizer(config: Fp8Config, *, device: torch.device) -> Quantizer:
    """The quantizer that the configuration asks for. Raises `UnsupportedError` where torchao is wanted and unusable."""
    if config.backend == "torchao":
        from inferix_quant.torchao_backend import torchao_fp8

        return torchao_fp8(config, device=device)
    stand_in = partial(Fp8Linear, activation_dtype=_ACTIVATIONS[config.activation])
    return LinearQuantizer(config, stand_in=stand_in, pack=pack_fp8)


def pack_fp8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The codes [N, K] and scales [N] of a weight."""
    codes, scale = fp8_rows(weight.float(), _WEIGHT)
    return codes, scale.squeeze(-1)


class Fp8Linear(PackedLinear):
    """Multiplies codes by codes where the hardware does, and their values in float32 elsewhere.

    The codes are the same in both cases, so a CPU shows what a GPU will make, up to the rounding of the product.
    """

    def __init__(self, linear: nn.Linear, *, activation_dtype: torch.dtype) -> None:
        super().__init__(linear, dtype=_WEIGHT)
        self._activation_dtype = activation_dtype

    def multiply(self, rows: Tensor) -> Tensor:
        """See `PackedLinear.multiply`."""
        codes, scale = fp8_rows(rows, self._activation_dtype)
        multiply = scaled_product if self._has_kernel(rows) else dequantised_product
        y = multiply(codes, self.weight, scale, self.weight_scale, self.bias)
        return y.to(rows.dtype)

    def _has_kernel(self, rows: Tensor) -> bool:
        return (
            rows.is_cuda
            and self.in_features % _MULTIPLE == 0
            and self.out_features % _MULTIPLE == 0
            and torch.cuda.get_device_capability(rows.device) >= _FIRST_CAPABILITY
        )


def scaled_product(codes: Tensor, weight: Tensor, scale: Tensor, weight_scale: Tensor, bias: Tensor | None) -> Tensor:
    """The product of codes [M, K] and [N, K] in bfloat16, the only dtype that row-wise scales come with."""
    product: Tensor = torch._scaled_mm(
        codes,
        weight.t(),
        scale_a=scale,
        scale_b=weight_scale.unsqueeze(0),
        bias=None if bias is None else bias.bfloat16(),
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )
    return product


def dequantised_product(
    codes: Tensor, weight: Tensor, scale: Tensor, weight_scale: Tensor, bias: Tensor | None
) -> Tensor:
    """The same in float32, with a float copy of the codes for as long as it takes."""
    y = (codes.float() @ weight.float().t()).mul_(scale).mul_(weight_scale)
    return y if bias is None else y.add_(bias)
