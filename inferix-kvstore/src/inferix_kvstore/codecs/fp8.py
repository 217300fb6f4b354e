"""The codec `fp8`: e4m3 with one scale for each page and head.

Letters: P pages, R rows (tokens), D numbers of a vector; a head's vector where there are heads.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from inferix_core.plan import FieldShape, KVLayout
from torch import Tensor

from inferix_kvstore.codecs.by_field import CodecByField
from inferix_kvstore.codecs.configuration import Fp8Config

_LARGEST = 448.0
_TINY = torch.finfo(torch.float32).tiny
_EXPONENT_BIAS, _MANTISSA_BITS = 7, 3
_PLACES = {  # of the dtypes that can be decoded to: the integers of their width, mantissa bits, exponent bias
    torch.float32: (torch.int32, 23, 127),
    torch.bfloat16: (torch.int16, 7, 127),
    torch.float16: (torch.int16, 10, 15),
}


class Fp8Codec(CodecByField):
    """8 bits for a number, and a scale of 32 for a page of one head."""

    def __init__(self, config: Fp8Config, *, layout: KVLayout, dtype: torch.dtype) -> None:
        super().__init__(config, layout=layout, dtype=dtype, keys=HeadCodec, others=HeadCodec)


class HeadCodec:
    """e4m3 numbers, the largest magnitude of a page's head at 448. Kept as bytes: few operations know e4m3."""

    def __init__(self, field: FieldShape, num_rows: int, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self.parts = {
            "codes": FieldShape(field.shape, "uint8", field.num_rows),
            "scale": FieldShape(field.shape[:-1], "float32", 1),
        }

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """See `FieldCodec.encode`."""
        exact = values.float()
        scale = exact.abs().amax((1, -1), keepdim=True) / _LARGEST  # [P, 1, ..., 1]
        codes = exact.div(scale.clamp(min=_TINY)).clamp_(-_LARGEST, _LARGEST).to(torch.float8_e4m3fn)
        return {"codes": codes.view(torch.uint8), "scale": scale.squeeze(-1)}

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        """See `FieldCodec.decode`."""
        scale = (stored["scale"] * 256).to(self._dtype).unsqueeze(-1)
        return e4m3_values_by_256(stored["codes"], self._dtype).mul_(scale)


def e4m3_values_by_256(codes: Tensor, dtype: torch.dtype) -> Tensor:
    """What e4m3 bytes stand for, divided by 256 so that the scale may be 256 times as large, which fp16 can hold.

    Sign, exponent and mantissa are put where `dtype` has them, and the difference of the exponents' biases is
    multiplied in: on a CPU several times as fast as a cast, and exact but for the two bytes of NaN.
    """
    integer, mantissa_bits, exponent_bias = _PLACES[dtype]
    shift = mantissa_bits - _MANTISSA_BITS
    bits = codes.view(torch.int8).to(integer)  # the sign is in all bits from 7 on
    bits = bits.bitwise_left_shift_(shift).bitwise_and_(torch.iinfo(integer).min | 0x7F << shift)
    return bits.view(dtype).mul_(2.0 ** (exponent_bias - _EXPONENT_BIAS - 8))
