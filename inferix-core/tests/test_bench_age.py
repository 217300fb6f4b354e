"""The cost of age: what is sampled, what is compared, and what cannot be asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from inferix_core.bench.age import MemorySample, growth, measure_age
from inferix_core.bench.age_plot import plot_age
from inferix_core.bench.memory import resident_bytes
from inferix_core.errors import ConfigError
from inferix_core.plan import Entry
from inferix_core.runtime.engine import Engine
from inferix_core.testing.toy_engine import toy_engine


class LastFour:
    """Keeps and shows the last four latents."""

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        return [latent for latent in held if latent >= upcoming.stop - 4]

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        return [latent for latent in available if latent >= entry.latents.stop - 4]

    def capacity(self, num_block_latents: int) -> int | None:
        return 4


@pytest.fixture
def engine() -> Engine:
    return toy_engine(policy=LastFour())


def test_memory_is_sampled_evenly_over_the_life_of_a_world(engine: Engine) -> None:
    told: list[float] = []
    cost = measure_age(engine, prompt="a pond", age_seconds=300.0, num_pairs=3, progress=told.append)
    assert cost.aged_seconds >= 300.0
    assert told[-1] == cost.samples[-1].seconds
    steps = [b.seconds - a.seconds for a, b in zip(cost.samples, cost.samples[1:], strict=False)]
    assert 50 < len(cost.samples) <= 122
    assert max(steps) < 5.0
    assert cost.world_growth == 0.0
    assert len(cost.ratios) == 3
    assert cost.ratio == sorted(cost.ratios)[1]


def test_a_world_that_grows_dearer_with_age_shows_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = engine.decoder.decode
    busy: dict[int, list[int]] = {}

    def slower(latents, state):  # type: ignore[no-untyped-def]
        frames, new = decode(latents, state)
        age = 1 if state is None else busy.get(id(state), [0])[0] + 1
        busy[id(new)] = [age]
        sum(range(3000 * age))
        return frames, new

    monkeypatch.setattr(engine.decoder, "decode", slower)
    assert measure_age(engine, prompt="a pond", age_seconds=60.0, num_pairs=5).ratio > 1.3


def test_a_world_that_is_too_young_or_whose_window_has_no_bound_is_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="too young"):
        measure_age(engine, prompt="a pond", age_seconds=1.0, num_pairs=1)
    with pytest.raises(ConfigError, match="no bound"):
        measure_age(toy_engine(), prompt="a pond", age_seconds=9.0, num_pairs=1)


def test_the_plot_shows_the_memory_and_every_pair(engine: Engine) -> None:
    cost = measure_age(engine, prompt="a pond", age_seconds=20.0, num_pairs=4)
    memory, pairs = plot_age(cost, title="a pond").axes
    assert len(memory.lines[0].get_ydata()) == len(cost.samples)
    assert list(pairs.lines[0].get_ydata()) == list(cost.ratios)


def test_growth_is_that_of_the_last_quarter_over_the_first_and_a_spike_is_none() -> None:
    assert growth([100, 100, 100, 100]) == 0.0
    assert growth([100, 100, 500, 100, 104, 104, 110, 110, 110]) == pytest.approx(0.10)
    assert growth([100, 900, 100, 100, 100, 100, 100, 900, 100]) == 0.0


def test_the_process_has_memory() -> None:
    sample = MemorySample(0.0, 0, resident_bytes())
    assert sample.num_resident_bytes is None or sample.num_resident_bytes > 2**20
