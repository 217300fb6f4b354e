"""A linear layer whose weights are codes of one byte.

Letters: M tokens, N output channels, K input channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """Stands in for a linear layer: `weight` [N, K] in `dtype`, `weight_scale` [N] float32, the layer's bias.

    It is made on the meta device and runs in the dtype of its input. Subclasses compute.
    """

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        bias = None if linear.bias is None else torch.empty_like(linear.bias, device="meta", requires_grad=False)
        self.register_buffer("weight", torch.empty(linear.weight.shape, dtype=dtype, device="meta"))
        self.register_buffer("weight_scale", torch.empty(self.out_features, dtype=torch.float32, device="meta"))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """`x` [..., K] -> [..., N]."""
        rows = x.reshape(-1, self.in_features)
        return self.multiply(rows).view(*x.shape[:-1], self.out_features)

    def multiply(self, rows: Tensor) -> Tensor:
        """[M, K] -> [M, N], bias included, in the dtype of `rows`."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, {self.weight.dtype}"
