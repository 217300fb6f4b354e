"""What operations on worlds are said to cost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from inferix_core.bench.memory import tensor_bytes
from inferix_core.bench.world_operations import measure_operations
from inferix_core.errors import UnsupportedError
from inferix_core.runtime.engine import Engine
from inferix_core.testing.toy_engine import toy_engine

LATENT_BYTES = 2 * 2 * 8 * 2 * 4 * 4  # layers, keys and values, tokens, heads, head dim, float32


@pytest.fixture
def engine() -> Engine:
    return toy_engine()


def test_a_store_that_copies_is_charged_for_the_copy(engine: Engine) -> None:
    measured = measure_operations(engine, prompt="a pond", num_latents=5, num_children=3, num_blocks=1)
    assert measured.num_latents == 6
    assert measured.num_world_bytes >= 6 * LATENT_BYTES
    assert measured.forks is not None
    assert measured.forks.num_forked_bytes > 0.5 * measured.num_world_bytes
    assert measured.forks.num_expected_bytes == measured.num_world_bytes + 3 * 2 * LATENT_BYTES
    assert measured.forks.num_family_bytes > measured.forks.num_expected_bytes
    assert measured.rewinds is not None
    assert measured.rewinds.num_journal_bytes > 0


def test_nothing_is_left_behind(engine: Engine) -> None:
    measure_operations(engine, prompt="a pond", num_latents=4, num_children=2, num_blocks=1)
    assert engine.num_kv_bytes == 0


def test_what_cannot_be_done_is_none_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = toy_engine()

    def refuse(self: object) -> object:
        raise UnsupportedError("This store cannot fork.")

    monkeypatch.setattr(type(engine.parts.store.create()), "fork", refuse)
    measured = measure_operations(engine, prompt="a pond", num_latents=4, num_children=2, num_blocks=1)
    assert measured.forks is None
    assert measured.rewinds is None
    assert measured.block_milliseconds > 0.0


def test_bytes_of_tensors_are_counted_once_wherever_they_lie() -> None:
    @dataclass
    class State:
        kept: tuple[torch.Tensor, ...]
        named: dict[str, torch.Tensor]

    tensor = torch.zeros(10)
    assert tensor_bytes(State((tensor, tensor[2:]), {"other": torch.zeros(3, dtype=torch.int8), "none": None})) == 43  # type: ignore[dict-item]
    assert tensor_bytes(None) == 0
