"""Pictures, negative prompts and float32 residuals: what the transformer reads of its conditions, and how precisely."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from inferix_core.contracts.model import Condition, Conditions, PassInput
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.errors import UnsupportedError
from inferix_core.plan import Entry, Level, Pass
from inferix_core.runtime.context import PassContext
from inferix_core.runtime.sight import Sight
from inferix_core.specs import ComponentConfig
from inferix_core.testing.toy_engine import toy_store
from inferix_core.testing.toys import ToyModel
from inferix_wan.branches import NULL
from inferix_wan.initialisation import initialise
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.conditions import IMAGE, IMAGE_LATENTS, NEGATIVE_TEXT, TEXT, image_latents
from inferix_wan.transformer.transformer import WanTransformer
from torch import Tensor

TEXT_ONLY = TransformerConfig(
    dim=40, ffn_dim=64, num_heads=2, num_layers=2, freq_dim=16, text_dim=12, text_len=5, in_channels=4, out_channels=4
)
FROM_PICTURE = replace(TEXT_ONLY, in_channels=12, image_dim=6)
ENTRY = Entry(0, range(3), 0, Level(0, 700.0, 0.7), reads_cache=False)


def transformer(config: TransformerConfig) -> WanTransformer:
    made = WanTransformer(config).requires_grad_(False)
    initialise(made, seed=5)
    return made


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conditions(model: WanTransformer, *, picture: int = 1, beside: int = 2, num_latents: int = 3) -> Conditions:
    """A prompt and, for a model that takes one, a picture; the numbers are seeds."""
    parts = {
        TEXT: Condition(model.embed_text(random(1, 3, 12, seed=3).to(model.patch_embedding.weight.dtype))),
        NEGATIVE_TEXT: Condition(model.embed_text(random(1, 2, 12, seed=4).to(model.patch_embedding.weight.dtype))),
    }
    if model.config.image_dim is not None:
        parts[IMAGE] = Condition(model.embed_image(random(1, 7, 6, seed=picture)))
        parts[IMAGE_LATENTS] = image_latents(random(num_latents, 4, 4, 6, seed=beside))
    return parts


def pass_input(given: Conditions, entries: Sequence[Entry], *, dtype: torch.dtype = torch.float32) -> PassInput:
    """The same noise for every entry of one world."""
    return PassInput(
        latents=random(1, 3, 4, 4, 6, seed=9).repeat(1, len(entries), 1, 1, 1).to(dtype),
        times=[[entry.level.time for entry in entries for _ in entry.latents]],
        positions=[[entry.first_position + i for entry in entries for i in range(len(entry.latents))]],
        conditions=[[given] * len(entries)],
        branches=[entry.branch for entry in entries],
        entry_lengths=[len(entry.latents) for entry in entries],
    )


def predict(model: WanTransformer, given: Conditions, *, entries: Sequence[Entry] = (ENTRY,)) -> Tensor:
    """The flow of one world, as the engine makes it."""
    context = PassContext(
        [Pass(tuple(entries))],
        caches=[toy_store(ToyModel()).create()],
        conditions=[[given] * len(entries)],
        sight=Sight(FullPolicy(ComponentConfig())),
        backend=SdpaBackend(ComponentConfig()),
        tokens_per_latent=6,
    )
    state = model.embed(pass_input(given, entries, dtype=model.patch_embedding.weight.dtype))
    for index, layer in enumerate(model.layers):
        state = layer(state, context.at(index))
    flow: Tensor = model.head(state)
    return flow


def test_the_picture_counts_in_cross_attention_and_beside_the_noise() -> None:
    model = transformer(FROM_PICTURE)
    flow = predict(model, conditions(model))
    assert flow.shape == (1, 3, 4, 4, 6)
    assert not torch.allclose(predict(model, conditions(model, picture=8)), flow, atol=1e-3)
    assert not torch.allclose(predict(model, conditions(model, beside=8)), flow, atol=1e-3)


def test_each_latent_gets_what_lies_at_its_position() -> None:
    model = transformer(FROM_PICTURE)
    whole = conditions(model, num_latents=5)
    rows = whole[IMAGE_LATENTS].tokens
    cut = {**whole, IMAGE_LATENTS: Condition(rows[:, 2:])}
    later = replace(ENTRY, first_position=2)
    tokens = [
        model.embed(pass_input(given, [entry])).tokens
        for given, entry in ((whole, later), (cut, ENTRY), (whole, ENTRY))
    ]
    assert torch.equal(tokens[0], tokens[1])
    assert not torch.equal(tokens[0], tokens[2])


def test_the_mask_says_that_the_first_latent_is_given() -> None:
    encoded = random(3, 4, 2, 2, seed=1)
    rows = image_latents(encoded).tokens.view(3, 8, 2, 2)
    assert torch.equal(rows[:, 4:], encoded)
    assert [rows[latent, :4].unique().tolist() for latent in range(3)] == [[1.0], [0.0], [0.0]]


def test_a_missing_or_too_short_picture_is_told() -> None:
    model = transformer(FROM_PICTURE)
    given = conditions(model)
    with pytest.raises(UnsupportedError, match=r"lack 'image', .* makes videos from a picture; they hold text"):
        predict(model, {name: part for name, part in given.items() if name != IMAGE})
    with pytest.raises(UnsupportedError, match="image latents for 2 latents, but position 2 is passed"):
        predict(model, conditions(model, num_latents=2))
    with pytest.raises(UnsupportedError, match="takes text alone"):
        transformer(TEXT_ONLY).embed_image(random(1, 7, 6, seed=1))


def test_the_null_branch_reads_the_negative_prompt_in_place_of_the_prompt() -> None:
    model = transformer(TEXT_ONLY)
    given = conditions(model)
    swapped = {TEXT: Condition(given[NEGATIVE_TEXT].tokens)}
    negative = predict(model, given, entries=[replace(ENTRY, branch=NULL)])
    assert torch.equal(negative, predict(model, swapped))
    assert not torch.allclose(negative, predict(model, given), atol=1e-3)


def test_two_branches_in_one_pass_are_refused() -> None:
    model = transformer(TEXT_ONLY)
    with pytest.raises(UnsupportedError, match="branches null, signal"):
        predict(model, conditions(model), entries=[ENTRY, replace(ENTRY, branch=NULL)])


def test_float32_residuals_come_nearer_to_the_full_precision_than_residuals_in_half() -> None:
    exact, narrow = transformer(TEXT_ONLY), transformer(TEXT_ONLY).bfloat16()
    wide = transformer(replace(TEXT_ONLY, residual_precision="float32")).bfloat16()
    for model in (narrow, wide):  # the same rounded weights
        exact.load_state_dict({name: value.float() for name, value in model.state_dict().items()})
    expected = predict(exact, conditions(exact))
    errors = [float((predict(model, conditions(model)).float() - expected).square().mean()) for model in (narrow, wide)]
    assert errors[1] < 0.6 * errors[0]


def test_float32_weights_give_the_same_whatever_the_residual_precision_is() -> None:
    flows = []
    for precision in ("weights", "float32"):
        model = transformer(replace(TEXT_ONLY, residual_precision=precision))
        flows.append(predict(model, conditions(model)))
    assert torch.equal(*flows)
