"""The codecs of `inferix-kvstore` against recorded codes, scales, dequantised values and attention outputs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.plan import FieldShape, KVLayout
from inferix_kvstore.codecs.by_field import CodecByField
from inferix_kvstore.codecs.configuration import Fp8Config, Int4Config, Int8Config
from inferix_kvstore.codecs.fp8 import Fp8Codec
from inferix_kvstore.codecs.int4 import ChannelGroupCodec, Int4Codec, TokenGroupCodec, group_codes, unpacked
from inferix_kvstore.codecs.int8 import Int8Codec
from torch import Tensor

GOLDEN = json.loads((Path(__file__).parent / "lvbench" / "kv_quant.json").read_text())
K, V, Q = (torch.tensor(GOLDEN[name]) for name in "kvq")  # [T, H, D]
NUM_TOKENS, *SHAPE = K.shape
FIELD = FieldShape(tuple(SHAPE))
LAYOUT = KVLayout(1, NUM_TOKENS, {"k": FIELD, "v": FIELD})
INT8_KEYS = GOLDEN["schemes"]["lightx2v_int8_g64"]
INT8_VALUES = GOLDEN["schemes"]["int8_per_token_head"]
FP8 = GOLDEN["schemes"]["fp8_e4m3_per_head"]
KIVI = GOLDEN["schemes"]["kivi4_k_perchannel_g32_v_pertoken_g8"]


def made(name: str, dtype: torch.dtype = torch.float32) -> CodecByField:
    if name == "int8":
        return Int8Codec(Int8Config(), layout=LAYOUT, dtype=dtype)
    if name == "fp8":
        return Fp8Codec(Fp8Config(), layout=LAYOUT, dtype=dtype)
    return Int4Codec(Int4Config(group_size=8), layout=LAYOUT, dtype=dtype)


def stored(codec: CodecByField) -> dict[str, Tensor]:
    return {name: part[0] for name, part in codec.encode({"k": K[None], "v": V[None]}).items()}


def decoded(name: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    codec = made(name, dtype)
    pages = codec.decode(codec.encode({"k": K[None].to(dtype), "v": V[None].to(dtype)}))
    return {field: values[0].float() for field, values in pages.items()}


def attention(k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("qhd,thd->hqt", Q, k) * Q.shape[-1] ** -0.5
    return torch.einsum("hqt,thd->qhd", scores.softmax(-1), v)


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def unpacked_int32(words: list[Any]) -> Tensor:
    """Codes `[T, H, D]` of int32 words `[H, D, T / 4]`, the first in the lowest bits."""
    packed = torch.tensor(words, dtype=torch.int64)
    codes = torch.stack([packed >> 8 * place & 255 for place in range(4)], dim=-1)
    return codes.flatten(-2).permute(2, 0, 1)


def test_int8_keys_have_the_codes_scales_and_minima_of_lightx2v() -> None:
    parts, golden = stored(made("int8")), INT8_KEYS["k_store"]
    assert torch.equal(parts["k.codes"].long() + 128, unpacked_int32(golden["packed"]))
    for part, recorded in (("scale", golden["scale"]), ("minimum", golden["mn"])):
        assert parts[f"k.{part}"].dtype == torch.float16
        assert torch.equal(parts[f"k.{part}"][0], torch.tensor(recorded, dtype=torch.float16).squeeze(-1))
    torch.testing.assert_close(decoded("int8")["k"], torch.tensor(INT8_KEYS["k_deq"]), rtol=1e-5, atol=2e-6)


def test_int8_values_have_the_codes_and_scales_of_one_scale_per_token_and_head() -> None:
    parts = stored(made("int8"))
    assert parts["v.codes"].tolist() == INT8_VALUES["v_codes"]
    assert torch.equal(parts["v.scale"], torch.tensor(INT8_VALUES["v_scale"]))
    torch.testing.assert_close(decoded("int8")["v"], torch.tensor(INT8_VALUES["v_deq"]), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("field", ["k", "v"])
def test_fp8_has_the_bytes_and_scales_of_one_scale_per_head(field: str) -> None:
    parts = stored(made("fp8"))
    assert parts[f"{field}.codes"].tolist() == FP8[f"{field}_bytes"]
    assert torch.equal(parts[f"{field}.scale"][0], torch.tensor(FP8[f"{field}_scale"]))
    torch.testing.assert_close(decoded("fp8")[field], torch.tensor(FP8[f"{field}_deq"]), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize(("field", "values", "dim", "size"), [("k", K, 1, 32), ("v", V, 3, 8)])
def test_int4_has_the_codes_of_kivi_and_its_values_up_to_fp16_scales(
    field: str, values: Tensor, dim: int, size: int
) -> None:
    recorded = torch.tensor(KIVI[f"{field}_deq"])
    codes, scale, minimum = group_codes(values[None], dim=dim, size=size)
    exact = codes.unflatten(dim, (-1, size)) * scale.unsqueeze(dim + 1) + minimum.unsqueeze(dim + 1)
    assert torch.equal(exact.flatten(dim, dim + 1)[0], recorded)

    codec = (
        TokenGroupCodec(FIELD, NUM_TOKENS, torch.float32, size=size)
        if field == "k"
        else ChannelGroupCodec(FIELD, NUM_TOKENS, torch.float32, size=size)
    )
    parts = codec.encode(values[None])
    assert torch.equal(unpacked(parts["codes"], SHAPE[-1]), codes)
    rounding = 2.0**-11 * float(recorded.abs().max()) * 3  # of a minimum, and of a span of at most twice as much
    torch.testing.assert_close(codec.decode(parts)[0], recorded, rtol=0.0, atol=rounding)


def test_the_attention_behind_the_recorded_figures_is_ours() -> None:
    torch.testing.assert_close(attention(K, V), torch.tensor(GOLDEN["attn_ref"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_errors_of_keys_values_and_attention_are_the_recorded_ones(dtype: torch.dtype) -> None:
    rounding = {torch.float32: 0.0, torch.bfloat16: 0.0025, torch.float16: 0.0004}[dtype]
    for name, keys, values in (("int8", INT8_KEYS, INT8_VALUES), ("fp8", FP8, FP8)):
        page = decoded(name, dtype)
        assert relative(page["k"], K) == pytest.approx(keys["k_rel"], rel=0.02, abs=rounding), name
        assert relative(page["v"], V) == pytest.approx(values["v_rel"], rel=0.02, abs=rounding), name
        error = relative(attention(page["k"], page["v"]), attention(K, V))
        assert error == pytest.approx(keys["attn_rel"], rel=0.1, abs=2 * rounding), name


def test_keys_by_channel_lose_less_of_the_attention_than_keys_by_token() -> None:
    page = decoded("int8")
    assert relative(attention(page["k"], page["v"]), attention(K, V)) < 0.6 * INT8_VALUES["attn_rel"]
