"""The codecs keep the rules of their kind, in every dtype and with groups that end within a page."""

from __future__ import annotations

import torch
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites import CodecSuite, provided_by
from inferix_kvstore import plugin
from inferix_kvstore.codecs.configuration import Fp8Config, Int4Config, Int8Config
from inferix_kvstore.codecs.fp8 import Fp8Codec
from inferix_kvstore.codecs.int4 import Int4Codec
from inferix_kvstore.codecs.int8 import Int8Codec

COMPRESSED = KVLayout(2, 6, {"latent": FieldShape((24,)), "rope_key": FieldShape((7,))})


class TestInt8(CodecSuite):
    provides = provided_by(plugin, "int8")
    max_relative_error = 0.015
    config = Int8Config()

    def codec(self, *, layout: KVLayout) -> Int8Codec:
        return Int8Codec(self.config, layout=layout, dtype=self.dtype)


class TestInt8InBfloat16(TestInt8):
    dtype = torch.bfloat16


class TestInt8InFloat16(TestInt8):
    dtype = torch.float16


class TestInt8InGroupsOfFour(TestInt8):
    config = Int8Config(group_size=4)


class TestInt8OfCompressedPages(TestInt8):
    layout = COMPRESSED


class TestFp8(CodecSuite):
    provides = provided_by(plugin, "fp8")
    max_relative_error = 0.045

    def codec(self, *, layout: KVLayout) -> Fp8Codec:
        return Fp8Codec(Fp8Config(), layout=layout, dtype=self.dtype)


class TestFp8InBfloat16(TestFp8):
    dtype = torch.bfloat16


class TestFp8InFloat16(TestFp8):
    dtype = torch.float16


class TestFp8OfCompressedPages(TestFp8):
    layout = COMPRESSED


class TestInt4(CodecSuite):
    provides = provided_by(plugin, "int4")
    max_relative_error = 0.08
    config = Int4Config()

    def codec(self, *, layout: KVLayout) -> Int4Codec:
        return Int4Codec(self.config, layout=layout, dtype=self.dtype)


class TestInt4InBfloat16(TestInt4):
    dtype = torch.bfloat16


class TestInt4InFloat16(TestInt4):
    dtype = torch.float16


class TestInt4InGroupsOfFive(TestInt4):
    config = Int4Config(group_size=5)


class TestInt4OfCompressedPages(TestInt4):
    layout = COMPRESSED
