"""What the transformer does with times, positions, captions and precisions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from inferix_core.contracts.model import Condition, PassInput, Rotary
from inferix_magi.guidance import CLEAN, NULL, TEXT
from inferix_magi.sizes import TRANSFORMERS
from inferix_magi.transformer import TransformerConfig
from inferix_magi.transformer.attention import interleaved
from inferix_magi.transformer.initialisation import random_transformer_weights
from inferix_magi.transformer.layers import PassState
from inferix_magi.transformer.precision import weight_dtype
from inferix_magi.transformer.rotary import GridRotary
from inferix_magi.transformer.transformer import MagiTransformer
from torch import Tensor
from torch.nn import functional as F

TINY = TRANSFORMERS["tiny-random"]
CPU = torch.device("cpu")
LATENTS = torch.randn(1, 2, 16, 4, 6, generator=torch.Generator().manual_seed(0))
CAPTION = Condition(torch.randn(1, 3, TINY.text_hidden_dim, generator=torch.Generator().manual_seed(1)))


def network(config: TransformerConfig = TINY, *, dtype: torch.dtype = torch.float32) -> MagiTransformer:
    made = MagiTransformer(config)
    weights = dict(random_transformer_weights(made, seed=0, device=CPU, dtype=dtype))
    made.load_state_dict(weights, assign=True)
    return made.requires_grad_(False)


def pass_input(
    latents: Tensor = LATENTS, *, time: float = 0.5, branch: str = TEXT, step: float | None = None
) -> PassInput:
    num_latents = latents.shape[1]
    times, positions = [[time] * num_latents], [range(num_latents)]
    return PassInput(latents, times, positions, [[{}]], [branch], [num_latents], step_size=step)


class WholePass:
    """A context of one entry, which sees itself."""

    def __init__(self, positions: Sequence[Sequence[int]]) -> None:
        self.positions = positions

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        assert rotary is not None
        return attention(rotary.rotate(q, self.positions), rotary.rotate(k, self.positions), v)

    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        raise AssertionError("captions are chosen by the model")

    def attend_chosen(
        self,
        q: Tensor,
        chosen: Sequence[Sequence[Sequence[Condition]]],
        project: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        ((conditions,),) = chosen
        return attention(q, *project(torch.cat([one.tokens for one in conditions], dim=1)))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    turned = (one.transpose(1, 2) for one in (q, k, v))
    return F.scaled_dot_product_attention(*turned, enable_gqa=True).transpose(1, 2)


def velocity(model: MagiTransformer, given: PassInput, *, caption: Condition = CAPTION) -> Tensor:
    state = model.embed(given, captions=[[[caption]]])
    for layer in model.layers:
        state = layer(state, WholePass(given.positions))
    return model.head(state)


def test_the_velocity_has_the_shape_of_the_latents_also_where_channels_are_doubled() -> None:
    assert velocity(network(), pass_input()).shape == LATENTS.shape
    doubled = network(replace(TINY, doubles_channels=True, gated_ffn=True))
    assert doubled.x_embedder.weight.shape[1] == 32
    assert velocity(doubled, pass_input()).shape == LATENTS.shape


def test_latents_are_scaled_on_their_way_in_and_the_velocity_back_on_its_way_out() -> None:
    scaled = network(replace(TINY, latent_scale=0.1))
    torch.testing.assert_close(velocity(scaled, pass_input()) * 0.1, velocity(network(), pass_input(LATENTS * 0.1)))


@pytest.mark.parametrize("change", [{"time": 0.6}, {"branch": NULL}, {"step": 8.0}])
def test_times_the_presence_of_a_caption_and_the_size_of_steps_matter(change: dict[str, float | str]) -> None:
    assert not torch.equal(velocity(network(), pass_input(**change)), velocity(network(), pass_input()))


def test_a_clean_block_in_a_pass_with_text_is_told_that_there_is_text() -> None:
    model = network()
    assert torch.equal(model.condition(pass_input(branch=CLEAN)), model.condition(pass_input(branch=TEXT)))


def test_the_caption_matters() -> None:
    other = Condition(CAPTION.tokens.flip(-1))
    assert not torch.equal(velocity(network(), pass_input(), caption=other), velocity(network(), pass_input()))


@pytest.mark.parametrize("first", [0, 7, 1_000_003])
def test_positions_are_rotated_by_the_formula_at_any_index(first: int) -> None:
    """The turn of a row's coordinate, of a column's and of the latent's, first half of the pairs with the second."""
    bands = torch.tensor([0.9, 0.02])
    rows, columns = 3, 4
    x = torch.randn(1, 2 * rows * columns, 1, 16, generator=torch.Generator().manual_seed(2))
    rotary = GridRotary(bands, rows=rows, columns=columns, dtype=torch.float32)
    rotated = rotary.rotate(x, [[first, first + 1]])[0, :, 0]
    extent = math.sqrt(rows * columns / 256)
    for token in range(2 * rows * columns):
        latent, row, column = token // (rows * columns), token // columns % rows, token % columns
        coordinates = (
            first + latent,
            (row - (rows - 1) / 2) / (rows - 1) * (rows / extent - 1),
            (column - (columns - 1) / 2) / (columns - 1) * (columns / extent - 1),
        )
        angles = torch.tensor([at * float(band) for at in coordinates for band in bands], dtype=torch.float64)
        head = x[0, token, 0].double()
        a, b, rest = head[:6], head[6:12], head[12:]
        turned = [a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin(), rest]
        torch.testing.assert_close(rotated[token].double(), torch.cat(turned), atol=1e-5, rtol=1e-5)


def test_positions_that_do_not_make_the_tokens_are_told() -> None:
    rotary = GridRotary(torch.ones(2), rows=2, columns=3, dtype=torch.float32)
    with pytest.raises(ValueError, match="1 positions of 6 tokens make 6 tokens, but 12 are to be rotated"):
        rotary.rotate(torch.zeros(1, 12, 1, 16), [[0]])


def test_a_share_of_each_latent_s_tokens_is_rotated_as_among_all_of_them() -> None:
    rotary = GridRotary(torch.tensor([0.9, 0.02]), rows=3, columns=4, dtype=torch.float32)
    x, share = torch.randn(1, 2, 12, 1, 16, generator=torch.Generator().manual_seed(2)), range(5, 11)
    whole = rotary.rotate(x.flatten(1, 2), [[3, 4]]).unflatten(1, (2, 12))
    mine = rotary.rotate(x[:, :, 5:11].flatten(1, 2), [[3, 4]], tokens=share)
    assert torch.equal(mine, whole[:, :, 5:11].flatten(1, 2))


def test_bands_are_those_that_were_loaded() -> None:
    model = network()
    before = velocity(model, pass_input())
    model.rope["bands"].data = model.rope["bands"] * 0.5
    assert not torch.equal(velocity(model, pass_input()), before)


def test_what_is_seen_and_what_is_read_take_turns_in_eight_parts() -> None:
    seen, read = torch.arange(16.0), 100 + torch.arange(16.0)
    expected = [number for part in range(8) for pair in (seen, read) for number in pair[2 * part : 2 * part + 2]]
    assert interleaved(seen[None], read[None])[0].tolist() == expected


def test_in_half_precision_embedders_and_the_norms_around_branches_stay_wide() -> None:
    model = network(dtype=torch.bfloat16)
    wide = {name for name, one in model.named_parameters() if one.dtype == torch.float32}
    first = {name.partition("layers.0.")[2] for name in wide if "layers.0." in name}
    assert first == {
        f"{norm}.{kind}"
        for norm in (
            "self_attention.q_layernorm",
            "self_attention.k_layernorm",
            "self_attn_post_norm",
            "mlp_post_norm",
        )
        for kind in ("weight", "bias")
    }
    outside = {name.split(".")[0] for name in wide if "layers." not in name}
    assert outside == {"x_embedder", "t_embedder", "y_embedder", "rope", "videodit_blocks", "final_linear"}
    assert model.dtype == torch.bfloat16
    assert weight_dtype("x_embedder.weight", dtype=torch.bfloat16) == torch.float32


def test_in_half_precision_the_velocity_is_close_and_wide() -> None:
    made = velocity(network(dtype=torch.bfloat16), pass_input(), caption=Condition(CAPTION.tokens.bfloat16()))
    exact = velocity(network(), pass_input())
    assert made.dtype == torch.float32
    assert float((made - exact).norm() / exact.norm()) < 0.03


def test_tokens_between_layers_and_what_is_cached_are_in_half_precision() -> None:
    model = network(dtype=torch.bfloat16)
    kept: list[torch.dtype] = []

    class Watching(WholePass):
        def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
            assert rotary is not None
            kept.extend((rotary.rotate(k, self.positions).dtype, v.dtype))
            return super().attend(q, k, v, rotary=rotary)

    given = pass_input()
    state: PassState = model.embed(given, captions=[[[Condition(CAPTION.tokens.bfloat16())]]])
    assert model.layers[0](state, Watching(given.positions)).tokens.dtype == torch.bfloat16
    assert set(kept) == {torch.bfloat16}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_kv_heads": 3}, "cannot share 3 heads of keys and values"),
        ({"head_dim": 12}, "make it a multiple of 8"),
        ({"patch_size": (2, 2, 2)}, "a page is one latent"),
    ],
)
def test_dimensions_that_do_not_fit_each_other_are_told(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(TINY, **change)
