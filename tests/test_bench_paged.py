"""The benches with the stores and policies that are published: what a shared page is charged."""

from __future__ import annotations

import torch
from inferix_core.bench.world_operations import measure_operations
from inferix_core.runtime.engine import Engine
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyModel
from inferix_kvstore.stores.configuration import PagedConfig
from inferix_kvstore.stores.paged import PagedStore


def paged_engine() -> Engine:
    model = ToyModel()
    store = PagedStore(PagedConfig(), layout=model.layout, capacity=None, device=torch.device("cpu"), dtype=model.dtype)
    return toy_engine(model=model, store=store)


def test_a_fork_of_shared_pages_adds_nothing_and_children_their_own() -> None:
    measured = measure_operations(paged_engine(), prompt="a pond", num_latents=21, num_children=8, num_blocks=3)
    assert measured.forks is not None
    assert measured.num_latents >= 21
    assert measured.forks.forked_share < 0.01
    assert measured.forks.num_family_bytes == measured.forks.num_expected_bytes
    assert measured.forks.num_family_bytes > 3 * measured.num_world_bytes


def test_a_journal_of_shared_pages_costs_nothing_where_none_are_given_up() -> None:
    measured = measure_operations(paged_engine(), prompt="a pond", num_latents=6, num_children=1, num_blocks=1)
    assert measured.rewinds is not None
    assert measured.rewinds.num_journal_bytes == 0
