"""A linear layer of the official fp8 weights, whose input is quantised by a scale that was measured beforehand.

Letters: M tokens, N output channels, K input channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CODES = torch.float8_e4m3fn
"""What weights and inputs are packed in."""

_LARGEST = 448.0
_FIRST_CAPABILITY = (8, 9)
_MULTIPLE = 16
"""The fp8 product of CUDA takes sides that are multiples of 16."""


class PackedLinear(nn.Module):
    """`weight` [N, K] in fp8 with one `weight_scale` [1]; what inputs are divided by is one number or one a channel.

    `input_scale` is [K] where channels are not smoothed. Where they are, a `smooth_scale` [K] is what inputs are
    divided by, and `input_scale` [1] only takes part in the result. Results are rounded to bfloat16, whatever the
    input is. It is made on the meta device and has no bias.
    """

    weight: Tensor
    weight_scale: Tensor
    input_scale: Tensor
    smooth_scale: Tensor | None

    def __init__(self, linear: nn.Linear, *, is_smoothed: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        num_scales = 1 if is_smoothed else self.in_features
        smooth = torch.empty(self.in_features, device="meta") if is_smoothed else None
        self.register_buffer("weight", torch.empty(linear.weight.shape, dtype=CODES, device="meta"))
        self.register_buffer("weight_scale", torch.empty(1, device="meta"))
        self.register_buffer("input_scale", torch.empty(num_scales, device="meta"))
        self.register_buffer("smooth_scale", smooth)

    def forward(self, x: Tensor) -> Tensor:
        """`x` [..., K] -> [..., N], in the dtype of `x`."""
        divisor = self.input_scale if self.smooth_scale is None else self.smooth_scale
        codes = quantised(x.reshape(-1, self.in_features), divisor)
        scale = self.input_scale[:1]  # [K] holds one number K times: the product takes it as such
        multiply = scaled_product if self._has_kernel(codes) else dequantised_product
        product = multiply(codes, self.weight, scale, self.weight_scale)
        return product.view(*x.shape[:-1], self.out_features).to(x.dtype)

    def _has_kernel(self, codes: Tensor) -> bool:
        return (
            codes.is_cuda
            and self.in_features % _MULTIPLE == 0
            and self.out_features % _MULTIPLE == 0
            and torch.cuda.get_device_capability(codes.device) >= _FIRST_CAPABILITY
        )

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{self.in_features}, {self.out_features}, smoothed={self.smooth_scale is not None}"


def quantised(x: Tensor, divisor: Tensor) -> Tensor:
    """The codes of `x` [M, K] divided by one number for each channel, rounded to bfloat16 and then to fp8."""
    return (x.float() / divisor).clamp_(-_LARGEST, _LARGEST).bfloat16().to(CODES)


def scaled_product(codes: Tensor, weight: Tensor, input_scale: Tensor, weight_scale: Tensor) -> Tensor:
    """The product of codes [M, K] and [N, K] times both scales, in bfloat16, by the fp8 kernel."""
    product: Tensor = torch._scaled_mm(
        codes, weight.t(), scale_a=input_scale, scale_b=weight_scale, out_dtype=torch.bfloat16
    )
    return product


def dequantised_product(codes: Tensor, weight: Tensor, input_scale: Tensor, weight_scale: Tensor) -> Tensor:
    """The same where no kernel is: in float32, with a float copy of the codes for as long as it takes."""
    return (codes.float() @ weight.float().t()).mul_(input_scale).mul_(weight_scale).bfloat16()
