"""What entries read: captions with learned rows before them, or the empty caption."""

from functools import cache

import pytest
import torch
from inferix_core.contracts.model import Condition, Conditions, PassInput
from inferix_core.signals import Signal
from inferix_core.text.random_encoder import RandomTextEncoder
from inferix_magi.captions import CAPTION, Captions, SpecialTokens
from inferix_magi.geometry import magi_geometry
from inferix_magi.guidance import CLEAN, NULL, TEXT
from inferix_magi.model import MagiModel
from inferix_magi.sizes import TRANSFORMERS
from inferix_magi.transformer.initialisation import random_transformer_weights
from inferix_magi.transformer.transformer import MagiTransformer
from torch import Tensor

TINY = TRANSFORMERS["tiny-random"]


@cache
def network() -> MagiTransformer:
    made = MagiTransformer(TINY)
    made.load_state_dict(
        dict(random_transformer_weights(made, seed=0, device=torch.device("cpu"), dtype=torch.float32))
    )
    return made.requires_grad_(False)


def rows(num_rows: int, *, seed: int = 0) -> Tensor:
    return torch.randn(num_rows, TINY.text_dim, generator=torch.Generator().manual_seed(seed))


SPECIAL = SpecialTokens(leading=rows(1, seed=7), durations=rows(3, seed=8), negative=rows(2, seed=9))


def read(captions: Captions, branch: str, conditions: Conditions, *, num_left: int | None = None) -> Tensor:
    """The tokens [T, text_hidden_dim] that an entry reads."""
    given = PassInput(torch.empty(0), [], [], [[conditions]], [branch], [1], num_blocks_left=[[num_left]])
    ((conditions_read,),) = captions.chosen(given)
    return torch.cat([one.tokens[0] for one in conditions_read])


def embedded(given: Tensor) -> Tensor:
    return network().embed_caption(given)[0]


@pytest.mark.parametrize("branch", [NULL, CLEAN])
def test_without_text_the_first_50_rows_of_the_empty_caption_are_read(branch: str) -> None:
    null = network().y_embedder.null_caption_embedding
    conditions = {CAPTION: Captions(network()).caption(rows(3))}
    assert torch.equal(read(Captions(network()), branch, conditions), embedded(null[:50]))
    negative = embedded(torch.cat([SPECIAL.negative, null])[:50])
    torch.testing.assert_close(read(Captions(network(), SPECIAL), branch, conditions), negative)


@pytest.mark.parametrize(("num_left", "row"), [(1, 0), (2, 1), (3, 2), (9, 2), (None, 2)])
def test_a_caption_comes_behind_how_many_blocks_are_left_and_what_is_asked_of_every_block(
    num_left: int | None, row: int
) -> None:
    captions = Captions(network(), SPECIAL)
    conditions = {CAPTION: captions.caption(rows(3))}
    expected = embedded(torch.cat([SPECIAL.durations[row : row + 1], SPECIAL.leading, rows(3)]))
    torch.testing.assert_close(read(captions, TEXT, conditions, num_left=num_left), expected)


@pytest.mark.parametrize("conditions", [{}, {CAPTION: Condition(torch.empty(1, 0, TINY.text_hidden_dim))}])
def test_a_caption_without_rows_is_the_empty_one_also_under_text(conditions: Conditions) -> None:
    captions = Captions(network(), SPECIAL)
    assert torch.equal(read(captions, TEXT, conditions), read(captions, NULL, conditions))


def test_too_long_a_caption_is_cut_so_that_all_rows_together_fit() -> None:
    captions = Captions(network(), SPECIAL)
    assert len(read(captions, TEXT, {CAPTION: captions.caption(rows(40))})) == TINY.text_len


def test_a_caption_without_rows_of_the_encoder_has_none_before_it_either() -> None:
    assert Captions(network(), SPECIAL).caption(rows(0)).tokens.shape == (1, 0, TINY.text_hidden_dim)


def test_signals_without_a_prompt_keep_the_caption() -> None:
    encoder = RandomTextEncoder(
        text_dim=TINY.text_dim, text_len=TINY.text_len, device=torch.device("cpu"), dtype=torch.float32
    )
    geometry = magi_geometry(TINY, height=32, width=32, fps=24.0)
    model = MagiModel(network(), text_encoder=encoder, geometry=geometry)
    first = model.encode(Signal(prompt="a ball"), None)
    assert model.encode(Signal(), first)[CAPTION] is first[CAPTION]
    assert model.encode(Signal(prompt="a box"), first)[CAPTION] is not first[CAPTION]
    assert model.encode(Signal(), None)[CAPTION].tokens.shape[1] == 0, "a random encoder has no row for the end"
