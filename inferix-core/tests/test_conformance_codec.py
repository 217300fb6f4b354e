"""Every rule of the codec suite is broken by one codec that keeps all others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites import CodecSuite, broken_rules, rules_of
from torch import Tensor

Pages = dict[str, Tensor]
LOSSY = frozenset({"lossy"})


class HalfCodec:
    """Keeps float32 pages in half precision."""

    provides: ClassVar[frozenset[str]] = LOSSY
    kept_dtype = "float16"
    num_exact_sink_latents = 0
    num_exact_recent_latents = 0

    def __init__(self, layout: KVLayout) -> None:
        fields = {name: FieldShape(field.shape, self.kept_dtype) for name, field in layout.fields.items()}
        self.layout = KVLayout(layout.num_layers, layout.tokens_per_latent, fields)

    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        return {name: values.half() for name, values in fields.items()}

    def decode(self, stored: Mapping[str, Tensor]) -> Pages:
        return {name: values.float() for name, values in stored.items()}


class Prepares(HalfCodec):
    """Does something to float32 pages before they are halved."""

    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        return super().encode({name: self.prepared(values) for name, values in fields.items()})

    def prepared(self, values: Tensor) -> Tensor:
        raise NotImplementedError


class Wavers(HalfCodec):
    last: Pages | None = None

    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        repeated = self.last is not None and all(torch.equal(values, self.last[n]) for n, values in fields.items())
        self.last = dict(fields)
        return {name: values.half() * (1.001 if repeated else 1.0) for name, values in fields.items()}


class Remembers(HalfCodec):
    largest = 0.0

    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        peaks = [float(page.abs().max()) for page in next(iter(fields.values()))]
        lower = len(peaks) > 1 and max(peaks) < self.largest
        self.largest = max(self.largest, *peaks)
        return {name: values.half() * (1.001 if lower else 1.0) for name, values in fields.items()}


class SharesAScale(Prepares):
    def prepared(self, values: Tensor) -> Tensor:
        return values * (1.001 if values.abs().max() > 50 and len(values) > 1 else 1.0)


class DecodesByTheMany(HalfCodec):
    def decode(self, stored: Mapping[str, Tensor]) -> Pages:
        return {name: values.float() * (1.001 if len(values) > 1 else 1.0) for name, values in stored.items()}


class RoundsInPlace(HalfCodec):
    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        for values in fields.values():
            values.copy_(values.half())
        return super().encode(fields)


class DecodesInPlace(HalfCodec):
    """What was stored is rounded a little further, so that the next decoding still gives the same."""

    def decode(self, stored: Mapping[str, Tensor]) -> Pages:
        decoded = {name: values.bfloat16().float() for name, values in stored.items()}
        for name, values in stored.items():
            values.copy_(decoded[name])
        return decoded


class SaysOtherwise(HalfCodec):
    kept_dtype = "bfloat16"


class StaysHalf(HalfCodec):
    def decode(self, stored: Mapping[str, Tensor]) -> Pages:
        return {name: values.clone() for name, values in stored.items()}


class KeepsTheScaleToItself(HalfCodec):
    scale = 1.0

    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        self.scale = 2.0
        return {name: (values / 2.0).half() for name, values in fields.items()}

    def decode(self, stored: Mapping[str, Tensor]) -> Pages:
        return {name: values.float() * self.scale for name, values in stored.items()}


class TooCoarseWhenLarge(Prepares):
    def prepared(self, values: Tensor) -> Tensor:
        return (values / 16).round() * 16 if values.abs().max() > 500 else values


class DividesByTheDeviation(Prepares):
    def prepared(self, values: Tensor) -> Tensor:
        squares = (values - values.mean(1, keepdim=True)).square().sum(1, keepdim=True)
        deviation = (squares / (values.shape[1] - 1)).sqrt()  # of one token it is not a number
        return values / torch.where(deviation == 0, 1.0, deviation) * torch.where(deviation == 0, 1.0, deviation)


class DividesByTheSpan(Prepares):
    def prepared(self, values: Tensor) -> Tensor:
        span = (values.amax() - values.amin()) if values.any() else torch.ones(())
        return values / span * span


class DividesByThePeak(Prepares):
    def prepared(self, values: Tensor) -> Tensor:
        return values / values.abs().max() * values.abs().max()


class ForgetsTheSignOfZero(HalfCodec):
    provides = frozenset()
    kept_dtype = "float32"

    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        return {name: values + 0.0 for name, values in fields.items()}

    def decode(self, stored: Mapping[str, Tensor]) -> Pages:
        return {name: values.clone() for name, values in stored.items()}


class RoundsAndSavesNothing(HalfCodec):
    kept_dtype = "float32"

    def encode(self, fields: Mapping[str, Tensor]) -> Pages:
        return {name: values.half().float() for name, values in fields.items()}


class CountsBelowZero(HalfCodec):
    num_exact_recent_latents = -1


BROKEN: dict[str, type[HalfCodec]] = {
    "test_pages_are_encoded_the_same_every_time": Wavers,
    "test_pages_are_encoded_the_same_whatever_came_before": Remembers,
    "test_every_page_is_encoded_by_itself": SharesAScale,
    "test_every_page_is_decoded_by_itself": DecodesByTheMany,
    "test_encoding_leaves_the_pages_as_they_are": RoundsInPlace,
    "test_decoding_leaves_what_is_stored_as_it_is": DecodesInPlace,
    "test_what_is_stored_is_as_the_layout_says": SaysOtherwise,
    "test_decoded_pages_have_the_same_fields_shapes_and_dtype": StaysHalf,
    "test_a_new_codec_decodes_what_lay_in_a_store": KeepsTheScaleToItself,
    "test_the_error_is_not_larger_than_stated": TooCoarseWhenLarge,
    "test_pages_of_any_number_of_tokens_keep_the_error": DividesByTheDeviation,
    "test_constant_pages_keep_the_error": DividesByTheSpan,
    "test_pages_of_zeros_stay_zero": DividesByThePeak,
    "test_a_codec_keeps_every_bit_unless_it_declares_lossy": ForgetsTheSignOfZero,
    "test_a_lossy_codec_keeps_fewer_bytes": RoundsAndSavesNothing,
    "test_exact_latents_are_counted_from_zero_on": CountsBelowZero,
}


class TestHalfCodec(CodecSuite):
    provides = LOSSY
    max_relative_error = 1e-3

    def codec(self, *, layout: KVLayout) -> HalfCodec:
        return HalfCodec(layout)


@pytest.mark.parametrize("name", rules_of(CodecSuite))
def test_the_codec_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(CodecSuite):
        provides = BROKEN[name].provides
        max_relative_error = 5e-3

        def codec(self, *, layout: KVLayout) -> HalfCodec:
            return BROKEN[name](layout)

    assert broken_rules(Cases(), tmp_path) == [name]
