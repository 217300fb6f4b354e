"""The codec `int8`: keys by channel in groups of tokens, everything else by token.

Letters: P pages, R rows (tokens), G groups of S tokens, D numbers of a vector; a head's vector where there are heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from inferix_core.plan import FieldShape, KVLayout
from torch import Tensor

from inferix_kvstore.codecs.by_field import CodecByField
from inferix_kvstore.codecs.configuration import Int8Config
from inferix_kvstore.codecs.groups import LARGEST, grouped, num_groups, scale_and_shift, ungrouped

_MIDDLE = 128
_TINY = torch.finfo(torch.float32).tiny


class Int8Codec(CodecByField):
    """8.5 bits for a number of a key (LightX2V), 8 bits and a scale of 32 for a vector of any other field."""

    def __init__(self, config: Int8Config, *, layout: KVLayout, dtype: torch.dtype) -> None:
        keys = partial(ChannelCodec, size=config.group_size)
        super().__init__(config, layout=layout, dtype=dtype, keys=keys, others=TokenCodec)


class ChannelCodec:
    """Codes 0 to 255 (kept less 128) between the minimum and the maximum of a channel in a group of tokens.

    Scale and minimum are fp16, and codes are worked out in fp16, as LightX2V does. So numbers beyond ±32 000 are
    clamped to that, and an error of up to 8e-6 remains however small the numbers are.
    """

    def __init__(self, field: FieldShape, num_rows: int, dtype: torch.dtype, *, size: int) -> None:
        self._num_rows, self._dtype, self._size = num_rows, dtype, size
        per_group = FieldShape(field.shape, "float16", num_groups(num_rows, size))
        self.parts = {
            "codes": FieldShape(field.shape, "int8", field.num_rows),
            "scale": per_group,
            "minimum": per_group,
        }

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """See `FieldCodec.encode`."""
        groups = grouped(values.clamp(-LARGEST, LARGEST).half(), dim=1, size=self._size)  # [P, G, S, ...]
        minimum = groups.amin(2, keepdim=True)
        scale = (groups.amax(2, keepdim=True) - minimum) / 255
        codes = (groups - minimum).div_(scale).nan_to_num_(0.0).clamp_(0, 255).round_()  # a constant group: 0 / 0
        kept = (codes - _MIDDLE).to(torch.int8)
        return {
            "codes": ungrouped(kept, dim=1, length=self._num_rows),
            "scale": scale.squeeze(2),
            "minimum": minimum.squeeze(2),
        }

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        """See `FieldCodec.decode`. Codes are about the middle, so that a bfloat16 product has half the error."""
        scale = stored["scale"].float()
        middle = (stored["minimum"].float() + _MIDDLE * scale).to(self._dtype)
        values = stored["codes"].to(self._dtype)
        scale_and_shift(values, scale.to(self._dtype), middle, dim=1, size=self._size)
        return values


class TokenCodec:
    """Codes -127 to 127 with one fp32 scale for a token's vector: the largest magnitude has the code 127.

    Decoded to fp16, an error of up to 4e-6 remains however small the numbers are.
    """

    def __init__(self, field: FieldShape, num_rows: int, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self.parts = {
            "codes": FieldShape(field.shape, "int8", field.num_rows),
            "scale": FieldShape(field.shape[:-1], "float32", field.num_rows),
        }

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """See `FieldCodec.encode`."""
        exact = values.float()
        scale = exact.abs().amax(-1, keepdim=True) / 127  # [P, R, ..., 1]
        codes = exact.div(scale.clamp(min=_TINY)).round_().clamp_(-127, 127)
        return {"codes": codes.to(torch.int8), "scale": scale.squeeze(-1)}

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        """See `FieldCodec.decode`."""
        return stored["codes"].to(self._dtype).mul_(stored["scale"].to(self._dtype).unsqueeze(-1))
