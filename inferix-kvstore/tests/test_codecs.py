"""What the codecs keep, in how many bytes, and where their precision ends."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.errors import ConfigError
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.runtime.coded import CodedStore
from inferix_kvstore import plugin
from inferix_kvstore.codecs.by_field import CodecByField
from inferix_kvstore.codecs.configuration import Fp8Config, Int4Config, Int8Config
from inferix_kvstore.codecs.fp8 import Fp8Codec, e4m3_values_by_256
from inferix_kvstore.codecs.int4 import Int4Codec, packed, unpacked
from inferix_kvstore.codecs.int8 import Int8Codec
from pydantic import ValidationError
from torch import Tensor

CODECS = {"int8": (Int8Codec, Int8Config), "fp8": (Fp8Codec, Fp8Config), "int4": (Int4Codec, Int4Config)}
KEPT_WITH_A_MINIMUM = [("int8", "k"), ("int4", "k"), ("int4", "v")]


def layout(num_tokens: int, *shape: int) -> KVLayout:
    return KVLayout(2, num_tokens, {"k": FieldShape(shape), "v": FieldShape(shape)})


def made(name: str, pages: KVLayout, dtype: torch.dtype = torch.float32, **options: int) -> CodecByField:
    implementation, config = CODECS[name]
    codec: CodecByField = implementation(config(**options), layout=pages, dtype=dtype)
    return codec


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def again(name: str, values: Tensor, **options: int) -> dict[str, Tensor]:
    """Both fields after encoding and decoding `values` [P, tokens, ...]."""
    codec = made(name, layout(values.shape[1], *values.shape[2:]), values.dtype, **options)
    return codec.decode(codec.encode({"k": values, "v": values}))


def num_bits(codec: CodecByField, field: str) -> int:
    """Bits of one page of a field."""
    parts = [name for name in codec.layout.fields if name.startswith(f"{field}.")]
    dtypes = [getattr(torch, codec.layout.fields[name].dtype or "") for name in parts]
    return sum(
        8 * dtype.itemsize * prod(codec.layout.page_shape(name)) for name, dtype in zip(parts, dtypes, strict=True)
    )


def test_every_codec_is_where_its_spec_says() -> None:
    specs = {spec.name: spec for spec in plugin.inferix_kv_codecs()}
    assert {name: (spec.load(), spec.config) for name, spec in specs.items()} == CODECS


@pytest.mark.parametrize(
    ("name", "keys", "values"),
    [
        ("int8", 8 + 32 * 25 / 1560, 8 + 32 / 128),
        ("fp8", 8 + 32 / (1560 * 128), 8 + 32 / (1560 * 128)),
        ("int4", 4 + 32 * 49 / 1560, 4 + 32 * 4 / 128),
    ],
)
def test_a_number_takes_the_bits_of_its_code_and_its_share_of_scales(name: str, keys: float, values: float) -> None:
    codec = made(name, layout(1560, 12, 128))
    for field, bits in (("k", keys), ("v", values)):
        assert num_bits(codec, field) == pytest.approx(1560 * 12 * 128 * bits)


@pytest.mark.parametrize("name", CODECS)
def test_exact_latents_are_those_of_the_configuration(name: str) -> None:
    codec = made(name, layout(4, 2, 8), num_exact_sink_latents=3, num_exact_recent_latents=5)
    assert (codec.num_exact_sink_latents, codec.num_exact_recent_latents) == (3, 5)


def test_groups_without_members_and_fewer_than_no_exact_latents_are_refused() -> None:
    for key in ("group_size", "num_exact_sink_latents", "num_exact_recent_latents"):
        with pytest.raises(ValidationError, match=key):
            Int4Config(**{key: -1})
    with pytest.raises(ValidationError, match="group_size"):
        Int8Config(group_size=0)


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_a_short_last_group_is_encoded_as_if_it_were_a_page(name: str) -> None:
    values = random(2, 70, 2, 8) + 50.0
    whole = made(name, layout(70, 2, 8), group_size=64).encode({"k": values, "v": values})
    last = values[:, 64:]
    alone = made(name, layout(6, 2, 8), group_size=64).encode({"k": last, "v": last})
    assert torch.equal(whole["k.codes"][:, 64:], alone["k.codes"])
    for part in ("k.scale", "k.minimum"):
        assert torch.equal(whole[part][:, 1:], alone[part])


@pytest.mark.parametrize(("name", "field"), KEPT_WITH_A_MINIMUM)
def test_a_constant_group_is_its_minimum(name: str, field: str) -> None:
    values = torch.full((1, 40, 2, 40), 1.2345)
    assert torch.equal(again(name, values)[field], values.half().float())
    codes = made(name, layout(40, 2, 40)).encode({"k": values, "v": values})[f"{field}.codes"]
    assert (codes == (-128 if name == "int8" else 0)).all(), "the lowest code, though its scale is 0"


@pytest.mark.parametrize(("name", "field"), KEPT_WITH_A_MINIMUM)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_numbers_beyond_32000_are_clamped_and_stay_finite(name: str, field: str, dtype: torch.dtype) -> None:
    values = random(2, 6, 2, 16)
    values[0, 0, 0, 0], values[0, 1, 0, 0], values[0, 2, 0, 0] = 60_000.0, -60_000.0, 31_000.0
    values[1, 0] = 60_000.0
    decoded = again(name, values.to(dtype))[field].float()
    step = 64_000 / (255 if name == "int8" else 15)
    expected = values.to(dtype).float().clamp(-32_000, 32_000)
    assert torch.allclose(decoded, expected, rtol=2.0**-7, atol=0.6 * step)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_has_an_fp32_scale_is_never_clamped(dtype: torch.dtype) -> None:
    values = (random(2, 6, 2, 16) * 1e30).to(dtype)
    for name, field, error in (("int8", "v", 0.015), ("fp8", "k", 0.045), ("fp8", "v", 0.045)):
        decoded = again(name, values)[field]
        assert (decoded - values).abs().max() <= error * values.abs().max()


def test_keys_smaller_than_fp16_can_tell_apart_keep_an_error_of_8e_6() -> None:
    for scale in (1e-4, 1e-6, 1e-9):
        values = random(2, 64, 2, 16) * scale
        assert (again("int8", values)["k"] - values).abs().max() <= 8e-6 + 0.01 * scale


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_one_large_channel_of_the_keys_leaves_the_other_channels_alone(name: str) -> None:
    values = random(1, 64, 2, 16)
    quiet = again(name, values)["k"]
    values[..., 3] *= 1000
    assert torch.equal(again(name, values)["k"][..., :3], quiet[..., :3])


def test_one_large_token_of_the_values_leaves_the_other_tokens_alone() -> None:
    for name in ("int8", "int4"):
        values = random(1, 64, 2, 16)
        quiet = again(name, values)["v"]
        values[:, 5] *= 1000
        assert torch.equal(again(name, values)["v"][:, 6:], quiet[:, 6:])


def test_one_large_head_leaves_the_other_heads_alone_in_fp8() -> None:
    values = random(1, 64, 2, 16)
    quiet = again("fp8", values)["v"]
    values[:, :, 1] *= 1000
    assert torch.equal(again("fp8", values)["v"][:, :, 0], quiet[:, :, 0])


@pytest.mark.parametrize(("name", "field"), KEPT_WITH_A_MINIMUM)
def test_smaller_groups_are_closer_and_take_more_bytes(name: str, field: str) -> None:
    values = random(1, 64, 2, 64)
    sizes = (8, 64)
    errors = [float((again(name, values, group_size=size)[field] - values).norm()) for size in sizes]
    bits = [num_bits(made(name, layout(64, 2, 64), group_size=size), field) for size in sizes]
    assert errors[0] < 0.8 * errors[1]
    assert bits[0] > bits[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_e4m3_number_is_decoded_exactly(dtype: torch.dtype) -> None:
    codes = torch.tensor([code for code in range(256) if code & 127 != 127], dtype=torch.uint8)
    expected = codes.view(torch.float8_e4m3fn).to(dtype) / 256
    assert torch.equal(e4m3_values_by_256(codes, dtype), expected)


@given(width=st.integers(1, 9), seed=st.integers(0, 99))
def test_two_codes_lie_in_a_byte(width: int, seed: int) -> None:
    codes = torch.randint(16, (3, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    assert packed(codes).shape == (3, (width + 1) // 2)
    assert torch.equal(unpacked(packed(codes), width), codes)


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(["int8", "int4"]),
    num_tokens=st.integers(1, 40),
    width=st.integers(1, 20),
    size=st.integers(1, 24),
    seed=st.integers(0, 99),
)
def test_no_number_is_further_off_than_a_step_of_its_group(
    name: str, num_tokens: int, width: int, size: int, seed: int
) -> None:
    values = random(2, num_tokens, 2, width, seed=seed)
    decoded = again(name, values, group_size=size)["k"]
    steps = 255 if name == "int8" else 15
    for part, decoded_part in zip(values.split(size, dim=1), decoded.split(size, dim=1), strict=True):
        span = part.amax(1, keepdim=True) - part.amin(1, keepdim=True)
        allowed = span / steps + 2.0**-10 * part.abs().amax(1, keepdim=True) + 1e-6
        assert ((decoded_part - part).abs() <= allowed).all()


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("field", [FieldShape((8,), "int64"), FieldShape(())])
def test_what_is_no_vector_of_floating_point_numbers_is_refused(name: str, field: FieldShape) -> None:
    with pytest.raises(ConfigError, match=r"'place'.*Use the codec 'none'"):
        made(name, KVLayout(2, 4, {"k": FieldShape((8,)), "place": field}))


def test_a_field_of_another_dtype_than_the_model_s_keeps_it() -> None:
    pages = KVLayout(2, 4, {"k": FieldShape((8,)), "summary": FieldShape((8,), "float32", 1)})
    values = {"k": random(3, 4, 8).bfloat16(), "summary": random(3, 1, 8)}
    for name in CODECS:
        codec = made(name, pages, torch.bfloat16)
        decoded = codec.decode(codec.encode(values))
        assert {field: (kept.shape, kept.dtype) for field, kept in decoded.items()} == {
            field: (given.shape, given.dtype) for field, given in values.items()
        }


@pytest.mark.parametrize(("name", "share"), [("int8", 0.55), ("fp8", 0.51), ("int4", 0.35)])
def test_pages_in_a_store_take_their_share_of_the_bytes_and_read_as_decoded(name: str, share: float) -> None:
    pages, dtype = layout(64, 2, 64), torch.bfloat16
    codec = made(name, pages, dtype)
    plain, exact, encoded = (
        DenseStore(DenseConfig(), layout=kept, capacity=None, device=torch.device("cpu"), dtype=dtype)
        for kept in (pages, pages, codec.layout)
    )
    values = random(2, 64, 2, 64).bfloat16()
    caches = plain.create(), CodedStore(exact, encoded, codec, layout=pages).create()
    for cache in caches:
        cache.reserve(range(2))
        for layer in range(2):
            cache.write(layer, range(2), {"k": values.flatten(0, 1), "v": values.flatten(0, 1)})
        cache.commit(range(2))
        cache.reserve(range(2, 3))
    assert 0 < encoded.num_bytes <= share * plain.num_bytes
    expected = codec.decode(codec.encode({"k": values, "v": values}))
    read = caches[1].segments(1, [range(2)])
    for field in ("k", "v"):
        joined = torch.cat([segment[field] for segment in read], dim=1)
        assert torch.equal(joined, expected[field].flatten(0, 1).unsqueeze(0))
