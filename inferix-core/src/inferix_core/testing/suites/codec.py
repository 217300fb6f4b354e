"""The rules of KV codecs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from inferix_core.contracts.kv import KVCodec
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.testing.suites.base import Suite, rule

Pages = dict[str, Tensor]

_NUM_PAGES = 3
_TOKENS_PER_PAGE = (1, 2, 5, 31, 64, 97)


class CodecSuite(Suite):
    """Supply `codec`, `provides`, and the error that its summary states."""

    max_relative_error: float = 0.0
    """The largest error of an element, relative to the largest element of its page and field."""

    dtype = torch.float32
    layout = KVLayout(num_layers=2, tokens_per_latent=6, fields={"k": FieldShape((2, 16)), "v": FieldShape((2, 16))})

    def codec(self, *, layout: KVLayout) -> KVCodec:
        """A new codec for pages of the layout in the suite's dtype."""
        raise NotImplementedError("Supply `codec`: return the codec that is to be tested.")

    @rule
    def test_pages_are_encoded_the_same_every_time(self) -> None:
        codec, pages = self._codec(), self.pages(seed=1)
        assert same(codec.encode(pages), codec.encode(pages))

    @rule
    def test_pages_are_encoded_the_same_whatever_came_before(self) -> None:
        pages = self.pages(seed=1)
        fresh = self._codec().encode(pages)
        codec = self._codec()
        codec.encode({name: values * 100 for name, values in self.pages(seed=2).items()})
        assert same(codec.encode(pages), fresh)

    @rule
    def test_every_page_is_encoded_by_itself(self) -> None:
        codec, pages = self._codec(), self.pages(seed=1)
        pages = {name: values * _per_page((1.0, 100.0, 0.01), values) for name, values in pages.items()}
        together = codec.encode(pages)
        for page in range(_NUM_PAGES):
            assert same(codec.encode(only(pages, page)), only(together, page)), f"page {page} alone has other bits"

    @rule
    def test_every_page_is_decoded_by_itself(self) -> None:
        codec = self._codec()
        stored = codec.encode(self.pages(seed=1))
        together = codec.decode(stored)
        for page in range(_NUM_PAGES):
            assert same(codec.decode(only(stored, page)), only(together, page)), f"page {page} alone has other bits"

    @rule
    def test_encoding_leaves_the_pages_as_they_are(self) -> None:
        pages = self.pages(seed=1)
        copies = copied(pages)
        self._codec().encode(pages)
        assert same(pages, copies)

    @rule
    def test_decoding_leaves_what_is_stored_as_it_is(self) -> None:
        codec = self._codec()
        stored = codec.encode(self.pages(seed=1))
        copies = copied(stored)
        codec.decode(stored)
        assert same(stored, copies)

    @rule
    def test_what_is_stored_is_as_the_layout_says(self) -> None:
        for num_tokens in _TOKENS_PER_PAGE:
            layout = self._layout(num_tokens)
            codec = self.codec(layout=layout)
            kept = codec.layout
            assert (kept.num_layers, kept.tokens_per_latent) == (layout.num_layers, layout.tokens_per_latent)
            said = {
                name: ((_NUM_PAGES, *kept.page_shape(name)), self._dtype_name(field))
                for name, field in kept.fields.items()
            }
            stored = codec.encode(self.pages(seed=1, layout=layout))
            assert described(stored) == said, f"with {num_tokens} tokens in a page"

    @rule
    def test_decoded_pages_have_the_same_fields_shapes_and_dtype(self) -> None:
        for num_tokens in _TOKENS_PER_PAGE:
            layout = self._layout(num_tokens)
            codec, pages = self.codec(layout=layout), self.pages(seed=1, layout=layout)
            assert described(codec.decode(codec.encode(pages))) == described(pages), f"{num_tokens} tokens in a page"

    @rule
    def test_a_new_codec_decodes_what_lay_in_a_store(self) -> None:
        codec = self._codec()
        stored = codec.encode(self.pages(seed=1))
        read = {}
        for name, values in stored.items():
            rows = values.flatten(0, 1)
            run = torch.cat([rows[:1], rows, rows[:1]])[1:-1].unsqueeze(0)  # [1, P * rows, ...], within a longer run
            read[name] = run.view(-1, *codec.layout.page_shape(name))
        assert same(self._codec().decode(read), codec.decode(stored))

    @rule
    def test_the_error_is_not_larger_than_stated(self) -> None:
        for scale in (1e-3, 1.0, 300.0):
            pages = {name: values * scale for name, values in self.pages(seed=3).items()}
            self._check_error(self._codec(), pages, f"at scale {scale}")

    @rule
    def test_pages_of_any_number_of_tokens_keep_the_error(self) -> None:
        for num_tokens in _TOKENS_PER_PAGE:
            layout = self._layout(num_tokens)
            pages = self.pages(seed=4, layout=layout)
            self._check_error(self.codec(layout=layout), pages, f"with {num_tokens} tokens in a page")

    @rule
    def test_constant_pages_keep_the_error(self) -> None:
        for value in (-2.5, 0.1, 7.0):
            pages = {name: torch.full_like(values, value) for name, values in self.pages(seed=1).items()}
            self._check_error(self._codec(), pages, f"with {value} everywhere")

    @rule
    def test_pages_of_zeros_stay_zero(self) -> None:
        codec = self._codec()
        zeros = {name: torch.zeros_like(values) for name, values in self.pages(seed=1).items()}
        assert not any(values.any() for values in codec.decode(codec.encode(zeros)).values())

    @rule
    def test_a_codec_keeps_every_bit_unless_it_declares_lossy(self) -> None:
        if "lossy" in self.provides:
            return
        codec, pages = self._codec(), self.pages(seed=5)
        for values in pages.values():
            values[0] *= -0.0  # zeros of both signs
            values[1] *= 1e-3
        assert same(codec.decode(codec.encode(pages)), pages), 'declare "lossy", or keep every bit'

    @rule
    def test_a_lossy_codec_keeps_fewer_bytes(self) -> None:
        if "lossy" not in self.provides:
            return
        pages = self.pages(seed=1)
        assert num_bytes(self._codec().encode(pages)) < num_bytes(pages)

    @rule
    def test_exact_latents_are_counted_from_zero_on(self) -> None:
        codec = self._codec()
        for count in (codec.num_exact_sink_latents, codec.num_exact_recent_latents):
            assert isinstance(count, int)
            assert count >= 0

    def pages(self, *, seed: int, layout: KVLayout | None = None) -> Pages:
        """Random pages `[P, tokens, ...]` of the layout, by default the suite's."""
        layout = layout or self.layout
        generator = torch.Generator().manual_seed(seed)
        return {
            name: torch.randn(_NUM_PAGES, *layout.page_shape(name), generator=generator).to(self.dtype)
            for name in layout.fields
        }

    def _codec(self) -> KVCodec:
        return self.codec(layout=self.layout)

    def _layout(self, num_tokens: int) -> KVLayout:
        return replace(self.layout, tokens_per_latent=num_tokens)

    def _dtype_name(self, field: FieldShape) -> str:
        return str(self.dtype).removeprefix("torch.") if field.dtype is None else field.dtype

    def _check_error(self, codec: KVCodec, pages: Pages, where: str) -> None:
        decoded = codec.decode(codec.encode(pages))
        for name, values in pages.items():
            exact = values.double().flatten(1)
            errors = (decoded[name].double().flatten(1) - exact).abs().amax(1) / exact.abs().amax(1)
            assert (errors <= self.max_relative_error).all(), f"{name} {where}: the error is {float(errors.max()):.3g}"


def only(pages: Pages, page: int) -> Pages:
    """One of the pages, `[1, rows, ...]`."""
    return {name: values[page : page + 1] for name, values in pages.items()}


def copied(pages: Pages) -> Pages:
    """Copies of the tensors."""
    return {name: values.clone() for name, values in pages.items()}


def same(one: Pages, other: Pages) -> bool:
    """Whether two pages have the same names, shapes, dtypes and bits."""
    return described(one) == described(other) and all(
        torch.equal(_bits(values), _bits(other[name])) for name, values in one.items()
    )


def described(pages: Pages) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shape and the name of the dtype of every tensor."""
    return {name: (tuple(values.shape), str(values.dtype).removeprefix("torch.")) for name, values in pages.items()}


def num_bytes(pages: Pages) -> int:
    """Bytes of all elements."""
    return sum(values.numel() * values.element_size() for values in pages.values())


def _bits(values: Tensor) -> Tensor:
    return values.contiguous().view(torch.uint8)


def _per_page(factors: tuple[float, ...], values: Tensor) -> Tensor:
    return torch.tensor(factors, dtype=values.dtype).view(-1, *[1] * (values.dim() - 1))
