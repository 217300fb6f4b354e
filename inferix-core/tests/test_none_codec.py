"""The codec that keeps pages as they are keeps the rules of its kind."""

from __future__ import annotations

import torch
from inferix_core import plugin
from inferix_core.defaults.none import NoCodec
from inferix_core.plan import KVLayout
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import CodecSuite, provided_by


class TestNone(CodecSuite):
    provides = provided_by(plugin, "none")

    def codec(self, *, layout: KVLayout) -> NoCodec:
        return NoCodec(ComponentConfig(), layout=layout, dtype=self.dtype)


class TestNoneInBfloat16(TestNone):
    dtype = torch.bfloat16


def test_it_does_not_declare_lossy_so_that_every_bit_is_checked() -> None:
    assert "lossy" not in provided_by(plugin, "none")
