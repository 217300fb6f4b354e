"""Rotation follows the formula at any position, and float32 is enough for bf16."""

import math

import pytest
import torch
from inferix_wan.transformer.rotary import GridRotary


def rotary(precision: torch.dtype = torch.float64) -> GridRotary:
    return GridRotary(head_dim=20, rows=2, columns=3, precision=precision)


def by_formula(x: torch.Tensor, positions: list[int]) -> torch.Tensor:
    """Pair by pair in Python numbers; `x` is [1, L * 6, H, 20] with 4 temporal, 3 row and 3 column pairs."""
    rotated = x.double().clone()
    for token in range(x.shape[1]):
        latent, inside = divmod(token, 6)
        row, column = divmod(inside, 3)
        angles = [positions[latent] * 10000 ** (-i / 4) for i in range(4)]
        angles += [place * 10000 ** (-i / 3) for place in (row, column) for i in range(3)]
        for pair, angle in enumerate(angles):
            even, odd = x[0, token, :, 2 * pair].double(), x[0, token, :, 2 * pair + 1].double()
            rotated[0, token, :, 2 * pair] = even * math.cos(angle) - odd * math.sin(angle)
            rotated[0, token, :, 2 * pair + 1] = even * math.sin(angle) + odd * math.cos(angle)
    return rotated.to(x.dtype)


def tokens(num_latents: int, *, num_worlds: int = 1) -> torch.Tensor:
    return torch.randn(num_worlds, num_latents * 6, 2, 20, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("positions", [[0, 1], [5, 1023], [1024, 1025], [1_000_000, 1_000_001]])
def test_every_position_is_the_formula_even_far_beyond_the_official_table(positions: list[int]) -> None:
    x = tokens(2)
    torch.testing.assert_close(rotary().rotate(x, [positions]), by_formula(x, positions), atol=1e-6, rtol=0)


def test_worlds_may_be_at_different_positions() -> None:
    x = tokens(2, num_worlds=2)
    together = rotary().rotate(x, [[0, 1], [70, 71]])
    assert torch.equal(together[:1], rotary().rotate(x[:1], [[0, 1]]))
    assert torch.equal(together[1:], rotary().rotate(x[1:], [[70, 71]]))


def test_rotating_in_float32_moves_bf16_results_by_at_most_one_rounding() -> None:
    x = tokens(3).bfloat16()
    positions = [[12, 999, 1_000_000]]
    exact, fast = (rotary(precision).rotate(x, positions).float() for precision in (torch.float64, torch.float32))
    step = torch.exp2(torch.floor(torch.log2(exact.abs().clamp_min(1e-30))) - 7)  # between neighbouring bf16 numbers
    assert ((exact - fast).abs() <= step).all()
    assert (exact != fast).float().mean() < 0.001


def test_a_rotation_made_in_inference_mode_can_be_used_in_training() -> None:
    one = rotary()
    with torch.inference_mode():
        one.rotate(tokens(2), [[0, 1]])
    x = tokens(2).requires_grad_()
    one.rotate(x, [[0, 1]]).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach(), atol=1e-5, rtol=1e-5)  # a rotation keeps lengths


def test_positions_that_do_not_make_the_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="3 positions of 6 tokens make 18 tokens, but 12"):
        rotary().rotate(tokens(2), [[0, 1, 2]])
