"""The transformer: official names, times for each latent, conditions in parts, gradients."""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from inferix_core.contracts.model import PassInput, Rotary
from inferix_wan.initialisation import initialise
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.official import SELF_FORCING, WAN21_I2V_14B, WAN21_T2V_1_3B, WAN21_T2V_14B
from inferix_wan.transformer.transformer import WanTransformer
from torch import Tensor

TINY = TransformerConfig(
    dim=40, ffn_dim=64, num_heads=2, num_layers=2, freq_dim=16, text_dim=12, text_len=5, in_channels=4, out_channels=4
)
GOLDEN = Path(__file__).parents[2] / "tests/golden/wan"


class PlainContext:
    """Every token of the pass sees every other; all worlds have the same conditions."""

    def __init__(self, positions: Sequence[Sequence[int]], conditions: dict[str, Tensor]) -> None:
        self.positions = positions
        self.conditions = conditions

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        assert rotary is not None
        return attention(rotary.rotate(q, self.positions), rotary.rotate(k, self.positions), v)

    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        keys, values = project(torch.cat([self.conditions[part] for part in parts if part in self.conditions], dim=1))
        return attention(q, keys.expand(len(q), -1, -1, -1), values.expand(len(q), -1, -1, -1))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(*(one.transpose(1, 2) for one in (q, k, v))).transpose(1, 2)


def transformer(config: TransformerConfig = TINY) -> WanTransformer:
    made = WanTransformer(config)
    initialise(made, seed=5)
    return made


def run(model: WanTransformer, latents: Tensor, times: list[list[float]], **conditions: Tensor) -> Tensor:
    positions = [list(range(latents.shape[1]))] * len(latents)
    state = model.embed(PassInput(latents, times, positions, [], [], [latents.shape[1]]))
    context = PlainContext(positions, {"text": model.embed_text(torch.ones(1, 3, 12)), **conditions})
    for layer in model.layers:
        state = layer(state, context)
    prediction: Tensor = model.head(state)
    return prediction


def latents(num_worlds: int = 1, num_latents: int = 3, height: int = 4, width: int = 6) -> Tensor:
    return torch.randn(num_worlds, num_latents, 4, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("manifest", "prefix", "config"),
    [
        ("wan21_t2v_1_3B", "", WAN21_T2V_1_3B),
        ("wan21_t2v_14B", "", WAN21_T2V_14B),
        ("wan21_i2v_14B", "", WAN21_I2V_14B),
        ("self_forcing_generator", "model.", SELF_FORCING),
        ("causvid_generator", "model.", SELF_FORCING),
    ],
)
def test_names_and_shapes_are_those_of_the_official_checkpoint(
    manifest: str, prefix: str, config: TransformerConfig
) -> None:
    content = json.loads(gzip.decompress((GOLDEN / f"manifest_{manifest}.json.gz").read_bytes()))
    with torch.device("meta"):
        state_dict = WanTransformer(config).state_dict()
    assert {f"{prefix}{name}": list(value.shape) for name, value in state_dict.items()} == {
        name: shape for name, (shape, _) in content["tensors"].items()
    }


@pytest.mark.parametrize(("height", "width"), [(4, 6), (8, 2), (2, 2)])
def test_the_prediction_has_the_shape_of_the_latents_in_portrait_and_landscape(height: int, width: int) -> None:
    x = latents(height=height, width=width)
    assert run(transformer(), x, [[500.0] * 3]).shape == x.shape


def test_rows_and_columns_are_not_confused() -> None:
    model, x = transformer(), latents(height=4, width=6)
    turned = run(model, x.transpose(3, 4), [[500.0] * 3]).transpose(3, 4)
    assert not torch.allclose(turned, run(model, x, [[500.0] * 3]), atol=1e-3)


def test_latents_at_one_time_give_what_a_time_for_each_of_them_gives() -> None:
    model, x = transformer(), latents()
    alone = run(model, x, [[700.0] * 3])
    beside_another = run(model, torch.cat([x, x]), [[700.0] * 3, [700.0, 700.0, 100.0]])
    torch.testing.assert_close(beside_another[0], alone[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(beside_another[1], alone[0], atol=1e-2)


def test_padding_rows_of_the_text_are_attended_to() -> None:
    model = transformer()
    tokens = model.embed_text(torch.zeros(1, 0, 12))
    assert tokens.shape == (1, 5, 40)
    assert torch.equal(tokens, model.text_embedding(torch.zeros(1, 5, 12)))
    with pytest.raises(ValueError, match="6 tokens, but the transformer takes 5"):
        model.embed_text(torch.zeros(1, 6, 12))


def test_further_parts_of_the_conditions_are_read_where_the_configuration_names_them() -> None:
    action = torch.randn(1, 1, 40, generator=torch.Generator().manual_seed(2))
    x, times = latents(), [[500.0] * 3]
    both = transformer(replace(TINY, condition_parts=("text", "action")))
    assert not torch.allclose(run(both, x, times, action=action), run(both, x, times), atol=1e-4)
    assert torch.equal(run(transformer(), x, times, action=action), run(both, x, times))


def test_gradients_reach_every_weight_after_a_pass_in_inference_mode() -> None:
    model, x = transformer(), latents(num_worlds=2)
    times = [[700.0, 700.0, 0.0], [20.0, 500.0, 0.0]]
    with torch.inference_mode():
        expected = run(model, x, times)
    prediction = run(model, x, times)
    prediction.square().sum().backward()
    assert torch.equal(prediction.detach(), expected)
    assert [name for name, one in model.named_parameters() if one.grad is None or not one.grad.abs().sum() > 0] == []


def test_a_deep_copy_is_independent() -> None:
    import copy

    model = transformer()
    twin = copy.deepcopy(model)
    before = run(twin, latents(), [[500.0] * 3])
    with torch.no_grad():
        model.patch_embedding.weight.zero_()
    assert torch.equal(run(twin, latents(), [[500.0] * 3]), before)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_heads", 3, "cannot be split into 3 heads"),
        ("in_channels", 3, "make it 4, or more"),
        ("freq_dim", 15, "even"),
        ("patch_size", (2, 2, 2), "latent"),
    ],
)
def test_dimensions_that_do_not_fit_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **{field: value})
