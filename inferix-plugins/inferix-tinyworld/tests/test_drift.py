"""The measure of drift that the model's spec points to."""

from __future__ import annotations

import pytest
from inferix_core import Engine
from inferix_core.errors import ConfigError
from inferix_tinyworld.drift import measure_drift
from inferix_tinyworld.plugin import inferix_models
from inferix_tinyworld.trials import Trial


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load("tinyworld", overrides=["num_threads=1", "num_decoder_threads=1"])


def test_the_spec_names_the_measure() -> None:
    (spec,) = inferix_models()
    assert spec.load_drift() is measure_drift


def test_worlds_that_show_their_prompt_have_not_drifted(engine: Engine) -> None:
    shares = measure_drift(engine, seconds=2.0, num_worlds=2, seed_start=1_000_003)
    assert set(shares) == {"colour right", "sky right", "colour and sky right", "frames with one object"}
    assert shares["colour and sky right"] == 1.0
    assert shares["frames with one object"] >= 0.9


def test_worlds_that_show_something_else_have_drifted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "prompt", "a green box rests at night")
    shares = measure_drift(engine, seconds=1.5, num_worlds=2, seed_start=1_000_003)
    assert shares["colour and sky right"] < 1.0


def test_no_worlds_and_no_time_are_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="1 world"):
        measure_drift(engine, seconds=2.0, num_worlds=0, seed_start=0)
    with pytest.raises(ConfigError, match=r"0\.0625 s at least"):
        measure_drift(engine, seconds=0.0, num_worlds=1, seed_start=0)
