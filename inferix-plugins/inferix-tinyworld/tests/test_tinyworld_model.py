"""The model's conditions: what a prompt and an action become, and how long they last."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from inferix_core.contracts.model import Condition
from inferix_core.errors import CheckpointError, SignalError
from inferix_core.signals import Signal
from inferix_tinyworld.config import TinyWorldConfig
from inferix_tinyworld.model import TinyWorldModel
from inferix_tinyworld.network import TinyWorldNetwork, network_config, write_config
from safetensors.torch import save_file

CPU = torch.device("cpu")


@pytest.fixture
def model() -> TinyWorldModel:
    torch.manual_seed(0)
    config = network_config(dim=24, ffn_dim=32, num_heads=2, num_layers=1)
    return TinyWorldModel.of_network(TinyWorldNetwork(config).requires_grad_(False))


def test_a_prompt_lasts_until_the_next_one_and_an_action_for_one_block(model: TinyWorldModel) -> None:
    first = model.encode(Signal(prompt="a red ball bounces at night", action="left"), None)
    second = model.encode(Signal(), first)
    third = model.encode(Signal(prompt="a blue ball"), second)
    assert second["text"] is first["text"]
    assert third["text"] is not first["text"]
    assert second["action"] is third["action"]
    assert not torch.equal(first["action"].tokens, second["action"].tokens)


def test_synonyms_and_unknown_words_do_not_change_what_the_network_is_told(model: TinyWorldModel) -> None:
    plain = model.encode(Signal(prompt="a red ball bounces at sunset"), None)["text"].tokens
    other = model.encode(Signal(prompt="Marvellous: a scarlet sphere bounces at dusk!"), None)["text"].tokens
    different = model.encode(Signal(prompt="a red ball bounces at night"), None)["text"].tokens
    assert torch.equal(plain, other)
    assert not torch.equal(plain, different)


def test_a_prompt_that_names_only_what_changes_keeps_the_rest(model: TinyWorldModel) -> None:
    first = model.encode(Signal(prompt="a green box rolls by day"), None)
    partial = model.encode(Signal(prompt="at night"), first)["text"].tokens
    whole = model.encode(Signal(prompt="a green box rolls at night"), None)["text"].tokens
    assert torch.equal(partial, whole)
    assert not torch.equal(partial, first["text"].tokens)


def test_what_a_prompt_leaves_open_is_known_from_the_memo_that_a_saved_world_keeps(model: TinyWorldModel) -> None:
    first = model.encode(Signal(prompt="a green box rolls by day", action="left"), None)
    loaded = {name: Condition(part.tokens, memo=part.memo) for name, part in first.items()}
    partial = model.encode(Signal(prompt="at night"), loaded)["text"]
    assert partial.memo == "a green box rolls at night"
    assert torch.equal(partial.tokens, model.encode(Signal(prompt="at night"), first)["text"].tokens)


def test_a_world_without_a_prompt_shows_the_plain_scene(model: TinyWorldModel) -> None:
    silent = model.encode(Signal(), None)["text"].tokens
    assert torch.equal(silent, model.encode(Signal(prompt="a red ball bounces by day"), None)["text"].tokens)


def test_a_prompt_without_a_known_word_is_an_error_that_names_the_known_ones(model: TinyWorldModel) -> None:
    with pytest.raises(SignalError, match=r"red, yellow.*bounces.*sunset"):
        model.encode(Signal(prompt="quarterly revenue"), None)


def test_an_unknown_action_is_an_error_that_names_the_nearest(model: TinyWorldModel) -> None:
    with pytest.raises(SignalError, match=r"'lefft'.*Did you mean 'left'.*none, left, right, jump"):
        model.encode(Signal(action="lefft"), None)


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    small = network_config(dim=24, ffn_dim=32, num_heads=2, num_layers=1)
    large = network_config(dim=24, ffn_dim=64, num_heads=2, num_layers=1)
    save_file(TinyWorldNetwork(small).state_dict(), tmp_path / "dit.safetensors")
    write_config(large, tmp_path / "dit.json")
    config = TinyWorldConfig(checkpoint=str(tmp_path / "dit.safetensors"))
    with pytest.raises(
        CheckpointError, match=r"transformer\.blocks\.0\.ffn\.0\.weight is \[32, 24\], expected \[64, 24\]"
    ):
        TinyWorldModel(config, device=CPU, dtype=torch.float32)


def test_weights_without_their_shape_beside_them_are_an_error(tmp_path: Path) -> None:
    config = TinyWorldConfig(checkpoint=str(tmp_path / "dit.safetensors"))
    with pytest.raises(CheckpointError, match=r"dit\.json.*comes with a \.json"):
        TinyWorldModel(config, device=CPU, dtype=torch.float32)
