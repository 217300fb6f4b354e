"""The codec `int4` (KIVI): keys by channel in groups of tokens, everything else by token in groups of channels.

Letters: D numbers of a vector, N neighbours along the grouped dimension, G groups of S of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from inferix_core.plan import FieldShape, KVLayout
from torch import Tensor
from torch.nn import functional as F

from inferix_kvstore.codecs.by_field import CodecByField
from inferix_kvstore.codecs.configuration import Int4Config
from inferix_kvstore.codecs.groups import LARGEST, grouped, num_groups, scale_and_shift, ungrouped


class Int4Codec(CodecByField):
    """4 bits for a number, and a scale and a minimum of 16 each for a group."""

    def __init__(self, config: Int4Config, *, layout: KVLayout, dtype: torch.dtype) -> None:
        super().__init__(
            config,
            layout=layout,
            dtype=dtype,
            keys=partial(TokenGroupCodec, size=config.group_size),
            others=partial(ChannelGroupCodec, size=config.group_size),
        )


class GroupCodec:
    """Codes 0 to 15 between the minimum and the maximum of a group, two in a byte.

    Scale and minimum are kept in fp16; numbers beyond ±32 000 are clamped to that.
    """

    parts: dict[str, FieldShape]

    def __init__(self, field: FieldShape, dtype: torch.dtype, *, dim: int, size: int) -> None:
        self._width, self._dtype, self._dim, self._size = field.shape[-1], dtype, dim, size

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """See `FieldCodec.encode`."""
        codes, scale, minimum = group_codes(values.float().clamp(-LARGEST, LARGEST), dim=self._dim, size=self._size)
        return {"codes": packed(codes), "scale": scale.half(), "minimum": minimum.half()}

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        """See `FieldCodec.decode`."""
        values = unpacked(stored["codes"], self._width).to(self._dtype)
        scale, minimum = stored["scale"].to(self._dtype), stored["minimum"].to(self._dtype)
        scale_and_shift(values, scale, minimum, dim=self._dim, size=self._size)
        return values


class TokenGroupCodec(GroupCodec):
    """Groups of tokens, channel by channel."""

    def __init__(self, field: FieldShape, num_rows: int, dtype: torch.dtype, *, size: int) -> None:
        super().__init__(field, dtype, dim=1, size=size)
        per_group = FieldShape(field.shape, "float16", num_groups(num_rows, size))
        self.parts = {"codes": _packed_shape(field), "scale": per_group, "minimum": per_group}


class ChannelGroupCodec(GroupCodec):
    """Groups of channels, token by token."""

    def __init__(self, field: FieldShape, num_rows: int, dtype: torch.dtype, *, size: int) -> None:
        super().__init__(field, dtype, dim=1 + len(field.shape), size=size)
        num = num_groups(field.shape[-1], size)
        per_group = FieldShape((*field.shape[:-1], num), "float16", field.num_rows)
        self.parts = {"codes": _packed_shape(field), "scale": per_group, "minimum": per_group}


def group_codes(values: Tensor, *, dim: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes [..., N, ...] uint8, and scales and minima [..., G, ...] of fp32 `values` [..., N, ...]."""
    groups = grouped(values, dim=dim, size=size)  # [..., G, S, ...]
    minimum = groups.amin(dim + 1, keepdim=True)
    scale = (groups.amax(dim + 1, keepdim=True) - minimum) / 15
    codes = (groups - minimum).div_(scale).nan_to_num_(0.0).clamp_(0, 15).round_()  # a constant group: 0 / 0
    ungrouped_codes = ungrouped(codes.to(torch.uint8), dim=dim, length=values.shape[dim])
    return ungrouped_codes, scale.squeeze(dim + 1), minimum.squeeze(dim + 1)


def packed(codes: Tensor) -> Tensor:
    """Codes [..., D] below 16 as bytes [..., (D + 1) // 2]: the second half of a vector in the upper four bits."""
    low, high = F.pad(codes, (0, codes.shape[-1] % 2)).chunk(2, dim=-1)
    return low | high << 4


def unpacked(codes: Tensor, width: int) -> Tensor:
    """The codes [..., D] of a vector of `width` numbers again."""
    return torch.cat([codes & 15, codes >> 4], dim=-1)[..., :width]


def _packed_shape(field: FieldShape) -> FieldShape:
    return FieldShape((*field.shape[:-1], (field.shape[-1] + 1) // 2), "uint8", field.num_rows)
