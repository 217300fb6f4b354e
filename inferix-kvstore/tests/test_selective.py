"""The rules of the `selective` policy."""

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.errors import ConfigError
from inferix_core.plan import Entry, Level
from inferix_core.runtime.ranges import ranges_of
from inferix_core.runtime.sight import Sight
from inferix_core.testing.suites.simulation import Beginning, Seeing, simulate
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyStore
from inferix_core.testing.toys import ToyPlanner
from inferix_kvstore.policies.configuration import SelectiveConfig, SinkWindowConfig
from inferix_kvstore.policies.selective import SelectivePolicy
from inferix_kvstore.policies.window import SinkWindowPolicy
from pydantic import ValidationError

NOISE = Level(0, 1000.0, 1.0)
INTERESTING: Mapping[int, float] = {latent: 1.0 if latent in (7, 8) else 0.1 for latent in range(21)}


def block(index: int, *, size: int = 3) -> Entry:
    latents = range(index * size, (index + 1) * size)
    return Entry(index, latents, latents.start, NOISE)


def selective(
    num_selected: int, *, kept: int | None = None, sink: int = 1, recent: int = 3, group: int = 1
) -> SelectivePolicy:
    config = SelectiveConfig(
        num_recent_latents=recent,
        num_selected_latents=num_selected,
        num_kept_latents=kept,
        num_sink_latents=sink,
        num_latents_per_group=group,
    )
    return SelectivePolicy(config)


def test_a_block_sees_the_sink_itself_and_what_is_most_relevant() -> None:
    seen = selective(2).visible(block(7), range(24), relevance=INTERESTING)
    assert seen == [0, 7, 8, 21, 22, 23]


def test_what_is_seen_is_fetched_from_a_store_and_nothing_else() -> None:
    cache = ToyStore().create()
    for start in range(0, 21, 3):
        latents = range(start, start + 3)
        cache.reserve(latents)
        cache.write(0, latents, {"k": torch.arange(start, start + 3.0).repeat_interleave(2)})
        cache.commit(latents)
    cache.reserve(range(21, 24))
    cache.write(0, range(21, 24), {"k": torch.arange(21, 24.0).repeat_interleave(2)})
    seen = selective(2).visible(block(7), [*cache.held, *cache.reserved], relevance=INTERESTING)
    segments = cache.segments(0, ranges_of(seen))
    assert [segment["k"].tolist() for segment in segments] == [[[0, 0]], [[7, 7, 8, 8]], [[21, 21, 22, 22, 23, 23]]]


def test_a_simulated_world_comes_back_to_what_was_relevant_long_ago() -> None:
    def scoring(held: object) -> Mapping[int, float]:
        return INTERESTING

    moments = simulate(
        ToyPlanner(num_block_latents=3), Sight(selective(2), needs_relevance=True), num_blocks=8, scoring=scoring
    )
    seen = {moment.entry.block: moment.visible for moment in moments if isinstance(moment, Seeing)}
    assert seen[1] == (0, 1, 2, 3, 4, 5)
    assert seen[2] == (0, 4, 5, 6, 7, 8), "nothing stands out yet: the later ones win"
    assert seen[7] == (0, 7, 8, 21, 22, 23)


def test_what_is_least_relevant_goes_first_and_what_stays_may_be_seen_later() -> None:
    policy = selective(1, kept=2)
    relevance = {0: 0.0, 1: 0.3, 2: 0.9, 3: 0.5, 4: 0.1, 5: 0.0}
    assert policy.retained(range(6), range(6, 9), relevance=relevance) == [0, 2, 3]
    held = [0, 2, 3, 6, 7, 8]
    assert policy.visible(block(2), held, relevance=relevance) == [0, 2, 6, 7, 8]
    assert policy.visible(block(2), held, relevance={**relevance, 3: 1.0}) == [0, 3, 6, 7, 8]


def test_recent_latents_do_not_compete() -> None:
    policy = selective(1, kept=1, recent=5)
    relevance = {1: 0.1, 2: 0.2, 3: 0.3, 4: 5.0, 5: 5.0}
    assert policy.retained(range(6), range(6, 9), relevance=relevance) == [0, 3, 4, 5]


def test_without_a_bound_everything_stays() -> None:
    policy = selective(2)
    assert policy.retained(range(21), range(21, 24), relevance={}) == range(21)
    assert policy.capacity(3) is None


def test_latents_without_a_score_come_last_and_later_ones_win_a_tie() -> None:
    policy = selective(3, sink=0)
    assert policy.visible(block(3), range(12), relevance={2: -9.0, 5: -9.0}) == [2, 5, 8, 9, 10, 11]
    assert policy.visible(block(3), range(12), relevance=dict.fromkeys(range(9), 1.0)) == [6, 7, 8, 9, 10, 11]


def test_groups_are_chosen_whole_by_their_mean() -> None:
    policy = selective(3, sink=0, group=3)
    scores = [0.0, 0.0, 0.9, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1]
    assert policy.visible(block(3), range(12), relevance=dict(enumerate(scores))) == [3, 4, 5, 9, 10, 11]
    assert policy.visible(block(3), range(12), relevance={}) == [6, 7, 8, 9, 10, 11], "the later one wins a tie"


def test_a_group_that_is_partly_sink_or_recent_is_chosen_as_far_as_it_is_neither() -> None:
    policy = selective(3, sink=1, recent=5, group=3)
    assert policy.visible(block(3), range(12), relevance={0: 9.0, 6: 1.0, 8: 9.0}) == [0, 6, 7, 8, 9, 10, 11]
    assert policy.visible(block(3), range(12), relevance={1: 1.0}) == [0, 1, 2, 7, 8, 9, 10, 11]


@settings(max_examples=60, deadline=None)
@given(
    sink=st.integers(0, 5),
    selected=st.integers(1, 4),
    more=st.integers(0, 4),
    size=st.integers(1, 4),
    surplus=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_the_capacity_is_exactly_what_an_old_world_holds(
    sink: int, selected: int, more: int, size: int, surplus: int, seed: int
) -> None:
    policy = selective(selected, kept=selected + more, sink=sink, recent=size + surplus)
    moments = simulate(
        ToyPlanner(num_block_latents=size),
        Sight(policy, needs_relevance=True),
        num_blocks=30,
        scoring=lambda held: {latent: float(hash((latent, seed)) % 17) for latent in held},
    )
    assert max(one.num_latents for one in moments if isinstance(one, Beginning)) == policy.capacity(size)


def test_in_an_engine_a_block_sees_other_latents_than_under_a_window_of_the_same_size() -> None:
    by_content = toy_engine(policy=selective(2, kept=4, recent=2), needs_relevance=True).create_world("a", seed=3)
    by_age = toy_engine(policy=SinkWindowPolicy(SinkWindowConfig(num_sink_latents=1, num_window_latents=4)))
    last = by_age.create_world("a", seed=3)
    differences = [not torch.equal(by_content.step().frames, last.step().frames) for _ in range(8)]
    assert differences[0] is False
    assert any(differences)
    assert len(by_content.state.caches["main"].held) == 7


def test_a_block_larger_than_what_is_recent_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(ConfigError, match=r"num_recent_latents = 2.*Use at least 3"):
        selective(1, recent=2).capacity(3)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_selected": 3, "kept": 2}, "keep at least as many"),
        ({"num_selected": 4, "group": 3}, r"num_selected_latents = 4 .* multiple"),
        ({"num_selected": 3, "kept": 5, "group": 3}, r"num_kept_latents = 5 .* multiple"),
    ],
)
def test_budgets_that_do_not_fit_each_other_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        selective(**sizes)
