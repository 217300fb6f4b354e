"""Every rule of the codec suite is broken by one codec that keeps all others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from inferix_core.plan import KVLayout
from inferix_core.testing.suites import CodecSuite, broken_rules, rules_of
from torch import Tensor

Page = dict[str, Tensor]


class HalfCodec:
    """Keeps float32 pages in half precision."""

    def encode(self, fields: Mapping[str, Tensor]) -> Page:
        return {name: values.half() for name, values in fields.items()}

    def decode(self, stored: Mapping[str, Tensor]) -> Page:
        return {name: values.float() for name, values in stored.items()}


class Wavers(HalfCodec):
    last: Page | None = None

    def encode(self, fields: Mapping[str, Tensor]) -> Page:
        repeated = self.last is not None and all(torch.equal(values, self.last[n]) for n, values in fields.items())
        self.last = dict(fields)
        return {name: values.half() * (1.001 if repeated else 1.0) for name, values in fields.items()}


class Remembers(HalfCodec):
    largest = 0.0

    def encode(self, fields: Mapping[str, Tensor]) -> Page:
        peak = max(float(values.abs().max()) for values in fields.values())
        self.largest = max(self.largest, peak)
        return {name: values.half() * (1.0 if peak == self.largest else 1.001) for name, values in fields.items()}


class RoundsInPlace(HalfCodec):
    def encode(self, fields: Mapping[str, Tensor]) -> Page:
        for values in fields.values():
            values.copy_(values.half())
        return super().encode(fields)


class DecodesInPlace(HalfCodec):
    def decode(self, stored: Mapping[str, Tensor]) -> Page:
        decoded = super().decode(stored)
        for values in stored.values():
            values.zero_()
        return decoded


class StaysHalf(HalfCodec):
    def decode(self, stored: Mapping[str, Tensor]) -> Page:
        return dict(stored)


class TooCoarse(HalfCodec):
    def encode(self, fields: Mapping[str, Tensor]) -> Page:
        return {name: (values * 8).round().half() / 8 for name, values in fields.items()}


class DividesByThePeak(HalfCodec):
    def encode(self, fields: Mapping[str, Tensor]) -> Page:
        return {name: (values / values.abs().max() * values.abs().max()).half() for name, values in fields.items()}


BROKEN: dict[str, type[HalfCodec]] = {
    "test_a_page_is_encoded_the_same_every_time": Wavers,
    "test_a_page_is_encoded_the_same_whatever_came_before": Remembers,
    "test_encoding_leaves_the_page_as_it_is": RoundsInPlace,
    "test_decoding_leaves_what_is_stored_as_it_is": DecodesInPlace,
    "test_a_decoded_page_has_the_same_fields_shapes_and_dtype": StaysHalf,
    "test_the_error_is_not_larger_than_stated": TooCoarse,
    "test_a_page_of_zeros_stays_zero": DividesByThePeak,
}


class TestHalfCodec(CodecSuite):
    max_relative_error = 1e-3

    def codec(self, *, layout: KVLayout) -> HalfCodec:
        return HalfCodec()


@pytest.mark.parametrize("name", rules_of(CodecSuite))
def test_the_codec_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(CodecSuite):
        max_relative_error = 1e-3

        def codec(self, *, layout: KVLayout) -> HalfCodec:
            return BROKEN[name]()

    assert broken_rules(Cases(), tmp_path) == [name]
