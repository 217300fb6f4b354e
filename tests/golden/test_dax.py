"""The rules of `inferix-quant` against recorded outputs of DAX: codes, scales and dynamic linear layers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_quant.config import WAN_EXCLUSIONS, Fp8Config, Int8Config
from inferix_quant.fp8 import dequantised_product, fp8_quantizer, scaled_product
from inferix_quant.int8 import int8_quantizer
from inferix_quant.rules import fp8_rows, int8_rows
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.transformer import CausalWanTransformer
from torch import Tensor, nn

GOLDEN = json.loads((Path(__file__).parent / "lvbench" / "dax_quant.json").read_text())
CPU = torch.device("cpu")
FP8 = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
PER_TOKEN = [case for case in GOLDEN["activation"] if case["qscheme"] == "per_token"]
LINEAR = [case for case in GOLDEN["linear"] if "per_token_act_per_channel_weight" in case["qconfig"]]


def name(case: dict[str, Any]) -> str:
    parts = (case.get("name") or case["qconfig"].split("_")[2], case["in_dtype"], case.get("bias"), case.get("M"))
    return " ".join(str(part) for part in parts if part is not None)


def given(case: dict[str, Any], key: str) -> Tensor:
    return torch.tensor(case[key], dtype=getattr(torch, case["in_dtype"]))


def golden_layer(case: dict[str, Any]) -> nn.Module:
    """Our stand-in for the case's layer, with its weights loaded."""
    kind = (
        int8_quantizer(Int8Config(), device=CPU)
        if "int8" in case["qconfig"]
        else fp8_quantizer(Fp8Config(), device=CPU)
    )
    layer = kind.replace("ffn", nn.Linear(case["K"], case["N"], bias=case["bias"], device="meta"))
    tensors = {**kind.load("weight", given(case, "weight"))}
    if case["bias"]:
        tensors |= kind.load("bias", given(case, "bias_values"))
    layer.load_state_dict(tensors, assign=True)
    return layer


def test_the_recorded_cases_are_all_there() -> None:
    assert (len(PER_TOKEN), len(LINEAR)) == (10, 16)


@pytest.mark.parametrize("case", PER_TOKEN, ids=name)
def test_codes_and_scales_of_an_activation_are_bit_exact(case: dict[str, Any]) -> None:
    x = given(case, "x")
    codes, scale = int8_rows(x)
    assert codes.tolist() == case["q_int8"]
    assert list(scale.shape) == case["scale_shape"]
    assert torch.equal(scale, torch.tensor(case["scale"], dtype=torch.float32))
    for kind, dtype in FP8.items():
        codes, scale = fp8_rows(x, dtype)
        assert codes.view(torch.uint8).tolist() == case[f"bits_{kind}"]
        assert torch.equal(scale, torch.tensor(case[f"scale_{kind}"], dtype=torch.float32))


@pytest.mark.parametrize("case", LINEAR, ids=name)
def test_a_weight_is_packed_bit_exactly(case: dict[str, Any]) -> None:
    layer = golden_layer(case)
    assert layer.weight.float().tolist() == case["qweight"]
    assert torch.equal(layer.weight_scale, torch.tensor(case["weight_scale"], dtype=torch.float32).flatten())


@pytest.mark.parametrize("case", LINEAR, ids=name)
def test_a_layer_computes_what_dax_computes(case: dict[str, Any]) -> None:
    y = golden_layer(case)(given(case, "x"))
    expected = given(case, "y")
    assert y.dtype == expected.dtype
    if "fp8" in case["qconfig"]:
        torch.testing.assert_close(y, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().mean()))
    elif case["in_dtype"] == "float32":
        torch.testing.assert_close(y, expected, rtol=1e-6, atol=1e-6)
    else:
        one_ulp = 2.0**-7  # of bfloat16, relative to the next lower power of two
        torch.testing.assert_close(y, expected, rtol=one_ulp, atol=0.0)


@pytest.mark.parametrize("case", [case for case in LINEAR if "fp8" in case["qconfig"]], ids=name)
def test_dequantised_codes_multiply_as_the_hardware_multiplies_them(case: dict[str, Any]) -> None:
    layer = golden_layer(case)
    codes, scale = fp8_rows(given(case, "x"), FP8["e5m2"])
    products = [
        multiply(codes, layer.weight, scale, layer.weight_scale, layer.bias)
        for multiply in (scaled_product, dequantised_product)
    ]
    torch.testing.assert_close(products[0].float(), products[1].float(), rtol=1e-2, atol=1e-2)


def test_the_default_exclusions_leave_the_ends_of_a_wan_network_alone() -> None:
    config = TransformerConfig(
        dim=8, ffn_dim=8, num_heads=1, num_layers=2, freq_dim=4, text_dim=4, text_len=3, in_channels=2, out_channels=2
    )
    with torch.device("meta"):
        network = CausalWanTransformer(config)
    targets = int8_quantizer(Int8Config(), device=CPU).targets(dict(network.named_modules()))
    assert len(targets) == 2 * 10
    assert all(target.startswith("blocks.") for target in targets)
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == {"blocks", *WAN_EXCLUSIONS}
