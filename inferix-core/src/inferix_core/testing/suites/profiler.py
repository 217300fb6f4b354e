"""The rules of profilers, beside a real engine of toys."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from inferix_core.contracts.profiler import Profiler
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToySolver


class ProfilerSuite(Suite):
    """Supply `profiler`: one that writes nothing, or only below a temporary folder."""

    def profiler(self) -> Profiler:
        """A new profiler."""
        raise NotImplementedError("Supply `profiler`: return the profiler that is to be tested.")

    @rule
    def test_a_run_has_the_same_frames_with_and_without_it(self) -> None:
        with_it = run(engine_with(self.profiler()))
        assert all(torch.equal(*pair) for pair in zip(with_it, run(toy_engine()), strict=True))

    @rule
    def test_the_summary_is_plain_data_before_a_run(self) -> None:
        json.dumps(dict(self.profiler().summary()))

    @rule
    def test_the_summary_is_plain_data_after_a_run(self) -> None:
        profiler = self.profiler()
        run(engine_with(profiler))
        summary = profiler.summary()
        assert isinstance(summary, Mapping)
        json.dumps(dict(summary), allow_nan=False)

    @rule
    def test_a_run_changes_what_was_measured(self) -> None:
        profiler = self.profiler()
        before = json.dumps(dict(profiler.summary()), default=repr)
        run(engine_with(profiler))
        assert json.dumps(dict(profiler.summary()), default=repr) != before

    @rule
    def test_a_failure_goes_through_unchanged(self) -> None:
        failure = ArithmeticError("the block fails")
        engine = engine_with(self.profiler(), solver=_FailingSolver(failure))
        with pytest.raises(ArithmeticError) as raised:
            run(engine)
        assert raised.value is failure

    @rule
    def test_measuring_goes_on_after_a_failure(self) -> None:
        profiler, solver = self.profiler(), _FailingSolver(ArithmeticError("the block fails"))
        engine = engine_with(profiler, solver=solver)
        with contextlib.suppress(Exception):  # in which form the failure arrives is another rule's concern
            run(engine)
        after_failure = json.dumps(dict(profiler.summary()), default=repr)
        solver.fails = False
        run(engine)
        assert json.dumps(dict(profiler.summary()), default=repr) != after_failure

    @rule
    def test_closing_twice_is_closing_once(self) -> None:
        profiler = self.profiler()
        run(engine_with(profiler))
        profiler.close()
        summary = json.dumps(dict(profiler.summary()), default=repr)
        profiler.close()
        assert json.dumps(dict(profiler.summary()), default=repr) == summary

    @rule
    def test_a_profiler_that_saw_nothing_can_be_closed(self) -> None:
        self.profiler().close()


class _FailingSolver(ToySolver):
    def __init__(self, failure: Exception) -> None:
        self.fails = True
        self._failure = failure

    def update(self, latents: Tensor, prediction: Tensor, **arguments: Any) -> tuple[Tensor, Any]:
        if self.fails:
            raise self._failure
        return super().update(latents, prediction, **arguments)


def engine_with(profiler: Profiler, **changes: Any) -> Engine:
    """An engine of toys whose moments the profiler sees."""
    relay = Relay()
    relay.register(profiler, "profiler")
    return toy_engine(relay=relay, **changes)


def run(engine: Engine) -> list[Tensor]:
    """The frames of three blocks."""
    world = engine.create_world("a red ball", seed=3)
    return [world.step().frames.clone() for _ in range(3)]
