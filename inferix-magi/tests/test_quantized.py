"""The authors' fp8 layers: what they compute, checked against the formula number by number."""

import pytest
import torch
from inferix_magi.quantized.linear import CODES, PackedLinear, quantised
from torch import Tensor, nn

IN, OUT = 24, 16


def layer(*, is_smoothed: bool, input_scale: float = 0.25) -> PackedLinear:
    generator = torch.Generator().manual_seed(1)
    made = PackedLinear(nn.Linear(IN, OUT, bias=False, device="meta"), is_smoothed=is_smoothed)
    state = {
        "weight": torch.randn(OUT, IN, generator=generator).to(CODES),
        "weight_scale": torch.tensor([0.5]),
        "input_scale": torch.full((1 if is_smoothed else IN,), input_scale),
    }
    if is_smoothed:
        state["smooth_scale"] = torch.rand(IN, generator=generator) + 0.5
    made.load_state_dict(state, assign=True)
    return made


def by_the_formula(made: PackedLinear, x: Tensor) -> Tensor:
    divisor = made.input_scale if made.smooth_scale is None else made.smooth_scale
    codes = (x.float() / divisor).clamp(-448, 448).bfloat16().to(CODES).float()
    out = torch.zeros(x.shape[0], OUT, dtype=torch.float64)
    for row in range(OUT):
        out[:, row] = (codes.double() * made.weight.float().double()[row]).sum(-1)
    return (out * float(made.input_scale[0]) * float(made.weight_scale)).bfloat16()


@pytest.mark.parametrize("is_smoothed", [False, True])
def test_a_layer_computes_the_formula(is_smoothed: bool) -> None:
    made = layer(is_smoothed=is_smoothed)
    x = torch.randn(5, IN, generator=torch.Generator().manual_seed(2)).bfloat16()
    assert torch.allclose(made(x).float(), by_the_formula(made, x).float(), rtol=2**-7, atol=1e-3)


def test_the_scales_take_part() -> None:
    x = torch.randn(5, IN, generator=torch.Generator().manual_seed(2)).bfloat16()
    plain, other = layer(is_smoothed=True), layer(is_smoothed=True)
    other.load_state_dict({**other.state_dict(), "input_scale": torch.tensor([0.5])}, assign=True)
    assert torch.allclose(other(x), 2.0 * plain(x))
    other.load_state_dict({**plain.state_dict(), "smooth_scale": 1e-6 * torch.ones(IN)}, assign=True)
    assert not torch.allclose(other(x), plain(x))


def test_inputs_beyond_the_range_are_cut_off_and_every_shape_is_taken() -> None:
    codes = quantised(torch.tensor([[1e6, -1e6, 0.5]]), torch.ones(3))
    assert codes.float().tolist() == [[448.0, -448.0, 0.5]]
    made = layer(is_smoothed=False)
    x = torch.randn(2, 3, IN, generator=torch.Generator().manual_seed(3))
    assert made(x).shape == (2, 3, OUT)
    assert torch.equal(made(x)[1], made(x[1]))
    assert made(x).dtype == x.dtype
    assert torch.equal(made(x), made(x).bfloat16().float())
