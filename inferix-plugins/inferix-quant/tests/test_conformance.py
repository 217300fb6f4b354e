"""The quantizers keep the rules of the core's suite, and the plugin those of plugins."""

from __future__ import annotations

import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.testing.suites import PluginSuite, QuantizerSuite
from inferix_quant.config import Fp8Config, Int8Config
from inferix_quant.fp8 import fp8_quantizer
from inferix_quant.int8 import int8_quantizer

CPU = torch.device("cpu")


class TestInt8(QuantizerSuite):
    max_relative_error = 0.02

    def quantizer(self) -> Quantizer:
        return int8_quantizer(Int8Config(), device=CPU)


class TestInt8InBfloat16(TestInt8):
    dtype = torch.bfloat16


class TestFp8(QuantizerSuite):
    max_relative_error = 0.1

    def quantizer(self) -> Quantizer:
        return fp8_quantizer(Fp8Config(), device=CPU)


class TestFp8InBfloat16(TestFp8):
    dtype = torch.bfloat16


class TestPlugin(PluginSuite):
    module = "inferix_quant.plugin"
    distribution = "inferix-quant"
