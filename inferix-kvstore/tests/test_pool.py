"""The pool of pages: room that comes in chunks, owners that are counted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.errors import CapacityError
from inferix_core.plan import FieldShape, KVLayout
from inferix_kvstore.stores.free_runs import FreeRuns
from inferix_kvstore.stores.pool import Page, PagePool, release, segments, share, write

LAYOUT = KVLayout(num_layers=1, tokens_per_latent=2, fields={"k": FieldShape((1,))})
PAGE_BYTES = 2 * 4
OPERATIONS = st.one_of(
    st.tuples(st.just("allocate"), st.integers(1, 5)),
    st.tuples(st.just("share"), st.integers(0, 99)),
    st.tuples(st.just("release"), st.integers(0, 99)),
)


def make_pool(*, max_pages: int | None = None, num_pages_per_chunk: int = 4) -> PagePool:
    return PagePool(
        LAYOUT,
        max_pages=max_pages,
        num_pages_per_chunk=num_pages_per_chunk,
        setting="kv.store.max_latents",
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def fill(page: Page, value: float) -> None:
    write(0, [page], {"k": torch.full((2, 1), value)})


def numbers(pages: list[Page]) -> list[int]:
    return [page.number for page in pages]


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, max_size=60), st.integers(1, 5), st.sampled_from([None, 7, 12]))
def test_pages_survive_any_history_of_allocations_and_owners(
    history: list[tuple[str, int]], num_pages_per_chunk: int, max_pages: int | None
) -> None:
    pool = make_pool(max_pages=max_pages, num_pages_per_chunk=num_pages_per_chunk)
    owners: dict[Page, int] = {}
    values: dict[Page, float] = {}
    for moment, (operation, argument) in enumerate(history):
        pages = list(owners)
        page = pages[argument % len(pages)] if pages else None
        if operation == "allocate" and (max_pages is None or len(owners) + argument <= max_pages):
            for new in pool.allocate(argument, after=pages[-1] if pages else None):
                owners[new], values[new] = 1, float(moment)
                fill(new, float(moment))
        elif operation == "allocate":
            with pytest.raises(CapacityError, match=f"{argument} more latents .* {len(owners)} are in use"):
                pool.allocate(argument)
        elif page is not None and operation == "share":
            share([page])
            owners[page] += 1
        elif page is not None:
            release([page])
            owners[page] -= 1
            owners = {page: count for page, count in owners.items() if count}
        assert pool.num_bytes == len(owners) * PAGE_BYTES <= pool.num_reserved_bytes
        assert {page: page.num_owners for page in owners} == owners
        assert all(segments(0, [page])[0]["k"].eq(values[page]).all() for page in owners)
    if max_pages is not None:
        assert pool.num_reserved_bytes <= max_pages * PAGE_BYTES


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 6)), max_size=40))
def test_free_runs_are_a_set_of_numbers_whose_neighbours_are_together(history: list[tuple[bool, int, int]]) -> None:
    free, oracle = FreeRuns(), set[int]()
    for is_added, start, length in history:
        run = range(start, start + length)
        if is_added and oracle.isdisjoint(run):
            free.add(run)
            oracle.update(run)
        elif not is_added and oracle.issuperset(run):
            free.remove(run)
            oracle.difference_update(run)
        assert [number for run in free.runs for number in run] == sorted(oracle)
        assert len(free) == len(oracle)
        assert all(run.stop not in oracle for run in free.runs)
        assert all(set(free.run_from(number)) <= oracle for number in range(37))
        assert all((number in free.run_from(number)) == (number in oracle) for number in range(37))


def test_pages_follow_the_last_one_where_that_is_free_and_else_begin_the_longest_free_run() -> None:
    pool = make_pool(num_pages_per_chunk=10)
    first, second = pool.allocate(3), pool.allocate(2)
    assert numbers(first + second) == [0, 1, 2, 3, 4]
    release(second)
    assert numbers(pool.allocate(2, after=first[-1])) == [3, 4]
    release(first)
    assert numbers(pool.allocate(2)) == [5, 6], "five pages are free there and three before"


def test_pages_of_two_chunks_are_never_taken_for_neighbours() -> None:
    pool = make_pool(num_pages_per_chunk=2)
    pages = pool.allocate(6)
    for place, page in enumerate(pages):
        fill(page, float(place))
    parts = segments(0, pages)
    assert [part["k"].shape[1] for part in parts] == [4, 4, 4]
    assert torch.cat([part["k"] for part in parts], dim=1)[0, ::2, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_memory_grows_by_chunks_and_is_given_back_when_they_are_empty_but_for_one() -> None:
    pool = make_pool(num_pages_per_chunk=4)
    pages = pool.allocate(9)
    assert pool.num_reserved_bytes == 12 * PAGE_BYTES
    release(pages[1:])
    assert (pool.num_bytes, pool.num_reserved_bytes) == (PAGE_BYTES, 8 * PAGE_BYTES)
    release(pages[:1])
    assert (pool.num_bytes, pool.num_reserved_bytes) == (0, 4 * PAGE_BYTES)


def test_a_bound_is_kept_by_what_is_reserved_too() -> None:
    pool = make_pool(max_pages=6, num_pages_per_chunk=4)
    pool.allocate(6)
    assert pool.num_reserved_bytes == 6 * PAGE_BYTES


def test_memory_that_is_not_there_is_a_capacity_error_that_leaves_the_pool_as_it_was() -> None:
    pool = make_pool(num_pages_per_chunk=2**50)
    with pytest.raises(CapacityError, match="No memory for"):
        pool.allocate(1)
    assert (pool.num_bytes, pool.num_reserved_bytes) == (0, 0)


def test_a_page_of_another_pool_has_no_neighbours_here() -> None:
    pool, other = make_pool(num_pages_per_chunk=8), make_pool(num_pages_per_chunk=8)
    release(pool.allocate(1))
    assert numbers(pool.allocate(2, after=other.allocate(4)[-1])) == [0, 1]
