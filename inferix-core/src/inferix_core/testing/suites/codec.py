"""The rules of KV codecs."""

from __future__ import annotations

import torch
from torch import Tensor

from inferix_core.contracts.kv import KVCodec
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged

Page = dict[str, Tensor]


class CodecSuite(Suite):
    """Supply `codec` and the error that its summary states."""

    max_relative_error: float
    """The largest error of an element, relative to the largest element of its page and field."""

    dtype = torch.float32
    layout = KVLayout(num_layers=2, tokens_per_latent=6, fields={"k": FieldShape((2, 16)), "v": FieldShape((2, 16))})

    def codec(self, *, layout: KVLayout) -> KVCodec:
        """A new codec for pages of the layout."""
        raise NotImplementedError("Supply `codec`: return the codec that is to be tested.")

    @rule
    def test_a_page_is_encoded_the_same_every_time(self) -> None:
        codec, page = self.codec(layout=self.layout), self.page(seed=1)
        assert same(codec.encode(page), codec.encode(page))

    @rule
    def test_a_page_is_encoded_the_same_whatever_came_before(self) -> None:
        page = self.page(seed=1)
        fresh = self.codec(layout=self.layout).encode(page)
        codec = self.codec(layout=self.layout)
        codec.encode({name: values * 100 for name, values in self.page(seed=2).items()})
        assert same(codec.encode(page), fresh)

    @rule
    def test_encoding_leaves_the_page_as_it_is(self) -> None:
        page = self.page(seed=1)
        copies = copies_of(page)
        self.codec(layout=self.layout).encode(page)
        assert is_unchanged(page, copies)

    @rule
    def test_decoding_leaves_what_is_stored_as_it_is(self) -> None:
        codec = self.codec(layout=self.layout)
        stored = codec.encode(self.page(seed=1))
        copies = copies_of(stored)
        codec.decode(stored)
        assert is_unchanged(stored, copies)

    @rule
    def test_a_decoded_page_has_the_same_fields_shapes_and_dtype(self) -> None:
        codec, page = self.codec(layout=self.layout), self.page(seed=1)
        decoded = codec.decode(codec.encode(page))
        described = [{name: (values.shape, values.dtype) for name, values in one.items()} for one in (decoded, page)]
        assert described[0] == described[1]

    @rule
    def test_the_error_is_not_larger_than_stated(self) -> None:
        for scale in (1e-3, 1.0, 300.0):
            codec = self.codec(layout=self.layout)
            page = {name: values * scale for name, values in self.page(seed=3).items()}
            decoded = codec.decode(codec.encode(page))
            for name, values in page.items():
                error = (decoded[name].double() - values.double()).abs().max() / values.double().abs().max()
                assert error <= self.max_relative_error, f"{name} at scale {scale}: the error is {float(error):.3g}"

    @rule
    def test_a_page_of_zeros_stays_zero(self) -> None:
        codec = self.codec(layout=self.layout)
        zeros = {name: torch.zeros_like(values) for name, values in self.page(seed=1).items()}
        assert not any(values.any() for values in codec.decode(codec.encode(zeros)).values())

    def page(self, *, seed: int) -> Page:
        """A random page."""
        generator = torch.Generator().manual_seed(seed)
        tokens = self.layout.tokens_per_latent
        return {
            name: torch.randn(tokens, *field.shape, generator=generator).to(self.dtype)
            for name, field in self.layout.fields.items()
        }


def same(one: Page, other: Page) -> bool:
    """Whether two stored pages have the same names and bits."""
    return one.keys() == other.keys() and all(torch.equal(values, other[name]) for name, values in one.items())
