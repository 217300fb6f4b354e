"""The rules of the window policies."""

import pytest
from inferix_core.errors import ConfigError
from inferix_core.plan import Entry, Level
from inferix_kvstore.policies.configuration import SinkWindowConfig, WindowConfig
from inferix_kvstore.policies.window import SinkWindowPolicy, WindowPolicy
from pydantic import ValidationError

NOISE = Level(0, 1000.0, 1.0)


def block(index: int, *, size: int = 3) -> Entry:
    latents = range(index * size, (index + 1) * size)
    return Entry(index, latents, latents.start, NOISE)


def test_the_window_includes_the_current_block_and_not_the_sink() -> None:
    policy = SinkWindowPolicy(SinkWindowConfig(num_sink_latents=2, num_window_latents=6))
    assert policy.retained(range(12), range(12, 15)) == [0, 1, 9, 10, 11]
    assert policy.visible(block(4), range(15)) == [0, 1, 9, 10, 11, 12, 13, 14]


def test_a_window_without_a_sink_forgets_the_beginning() -> None:
    policy = WindowPolicy(WindowConfig(num_window_latents=6))
    assert policy.visible(block(2), range(9)) == [3, 4, 5, 6, 7, 8]


def test_an_older_block_in_the_same_pass_has_a_window_of_its_own() -> None:
    policy = WindowPolicy(WindowConfig(num_window_latents=6))
    assert policy.visible(block(1), range(6)) == [0, 1, 2, 3, 4, 5]
    assert policy.visible(block(2), range(9)) == [3, 4, 5, 6, 7, 8]


def test_nothing_is_dropped_before_sink_and_window_are_full() -> None:
    policy = SinkWindowPolicy(SinkWindowConfig(num_sink_latents=3, num_window_latents=6))
    assert policy.retained(range(6), range(6, 9)) == [0, 1, 2, 3, 4, 5]


def test_the_capacity_is_sink_and_window() -> None:
    assert SinkWindowPolicy(SinkWindowConfig(num_sink_latents=3, num_window_latents=9)).capacity(3) == 12


def test_a_window_smaller_than_a_block_is_refused_with_the_least_that_works() -> None:
    policy = SinkWindowPolicy(SinkWindowConfig(num_sink_latents=3, num_window_latents=2))
    with pytest.raises(ConfigError, match=r"num_window_latents = 2.*Use at least 3"):
        policy.capacity(3)


def test_impossible_sizes_are_refused_by_the_configuration() -> None:
    with pytest.raises(ValidationError):
        WindowConfig(num_window_latents=0)
    with pytest.raises(ValidationError):
        SinkWindowConfig(num_sink_latents=-1, num_window_latents=3)
    with pytest.raises(ValidationError):
        WindowConfig(num_window_latents=3, num_sink_latents=1)
