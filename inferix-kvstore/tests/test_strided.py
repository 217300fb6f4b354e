"""The rules of the `strided` policy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.errors import ConfigError
from inferix_core.plan import Entry, Level
from inferix_core.runtime.sight import Sight
from inferix_core.testing.suites.simulation import Beginning, simulate
from inferix_core.testing.toys import ToyPlanner
from inferix_kvstore.policies.configuration import StridedConfig
from inferix_kvstore.policies.strided import StridedPolicy

NOISE = Level(0, 1000.0, 1.0)


def block(index: int, *, size: int = 3) -> Entry:
    latents = range(index * size, (index + 1) * size)
    return Entry(index, latents, latents.start, NOISE)


def test_recent_latents_are_all_seen_and_of_older_ones_every_nth() -> None:
    policy = StridedPolicy(StridedConfig(num_recent_latents=6, stride=4))
    assert policy.visible(block(7), range(24)) == [0, 4, 8, 12, 16, 18, 19, 20, 21, 22, 23]
    assert policy.retained(range(21), range(21, 24)) == [0, 4, 8, 12, 16, 18, 19, 20]


def test_the_oldest_of_a_full_memory_go_and_the_sink_does_not() -> None:
    config = StridedConfig(num_recent_latents=3, stride=4, num_memory_latents=2, num_sink_latents=2)
    policy = StridedPolicy(config)
    assert policy.visible(block(7), range(24)) == [0, 1, 16, 20, 21, 22, 23]
    assert policy.visible(block(2), range(9)) == [0, 1, 4, 6, 7, 8]


def test_a_latent_stays_in_memory_although_its_neighbours_went() -> None:
    policy = StridedPolicy(StridedConfig(num_recent_latents=3, stride=4))
    beginnings = [
        moment
        for moment in simulate(ToyPlanner(num_block_latents=3), Sight(policy), num_blocks=9)
        if isinstance(moment, Beginning)
    ]
    assert beginnings[-1].retained == (0, 4, 8, 12, 16, 20)


def test_a_memory_without_bound_has_no_capacity() -> None:
    assert StridedPolicy(StridedConfig(num_recent_latents=3, stride=100)).capacity(3) is None


@settings(max_examples=60, deadline=None)
@given(
    num_sink=st.integers(0, 5),
    num_memory=st.integers(1, 5),
    stride=st.integers(1, 4),
    size=st.integers(1, 4),
    surplus=st.integers(0, 4),
)
def test_the_capacity_is_exactly_what_an_old_world_holds(
    num_sink: int, num_memory: int, stride: int, size: int, surplus: int
) -> None:
    config = StridedConfig(
        num_recent_latents=size + surplus, stride=stride, num_memory_latents=num_memory, num_sink_latents=num_sink
    )
    policy = StridedPolicy(config)
    moments = simulate(ToyPlanner(num_block_latents=size), Sight(policy), num_blocks=50)
    assert max(one.num_latents for one in moments if isinstance(one, Beginning)) == policy.capacity(size)


def test_a_block_larger_than_what_is_recent_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(ConfigError, match=r"num_recent_latents = 2.*Use at least 3"):
        StridedPolicy(StridedConfig(num_recent_latents=2, stride=4)).capacity(3)
