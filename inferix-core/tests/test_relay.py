"""Wrappers go around bodies, observers are isolated."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from inferix_core.catalog import Catalog
from inferix_core.errors import PluginError
from inferix_core.events import BlockRun, PassRun
from inferix_core.hookspecs import hookimpl
from inferix_core.relay import Relay

RUN = BlockRun(["world"], [0])


class Recorder:
    """Writes down when its wrapper starts and ends, and what went wrong inside."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    @hookimpl(wrapper=True)
    def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
        self.log.append(f"{self.name} starts {run.blocks}")
        try:
            yield
        except ValueError as error:
            self.log.append(f"{self.name} sees {error}")
            raise
        finally:
            self.log.append(f"{self.name} ends")
        return None


class Raising:
    """Fails at the end of every pass."""

    @hookimpl(wrapper=True)
    def inferix_run_pass(self) -> Generator[None, object, object]:
        yield
        raise RuntimeError("over budget")


class Swallowing:
    """Tries to hide a failure."""

    @hookimpl(wrapper=True)
    def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
        try:
            yield
        except ValueError:
            return None
        return None


class Observer:
    """Counts, and fails where it is told to."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.num_calls = 0

    @hookimpl
    def inferix_report(self, summary: Any) -> None:
        self.num_calls += 1
        if self.fails:
            raise ValueError("no disk")


def relay_of(*plugins: object) -> Relay:
    relay = Relay()
    for index, plugin in enumerate(plugins):
        relay.register(plugin, f"plugin-{index}")
    return relay


def test_wrappers_end_in_the_reverse_order_of_their_start() -> None:
    log: list[str] = []
    with relay_of(Recorder("a", log), Recorder("b", log)).run_block(RUN):
        log.append("body")
    outer, inner = log[0][0], log[1][0]
    assert log == [f"{outer} starts [0]", f"{inner} starts [0]", "body", f"{inner} ends", f"{outer} ends"]
    assert {outer, inner} == {"a", "b"}


def test_a_failing_body_is_seen_by_every_wrapper_and_goes_on_as_it_was() -> None:
    log: list[str] = []
    failure = ValueError("inside")
    with pytest.raises(ValueError, match="inside") as caught, relay_of(Recorder("a", log)).run_block(RUN):
        raise failure
    assert caught.value is failure
    assert log == ["a starts [0]", "a sees inside", "a ends"]


def test_a_wrapper_cannot_swallow_a_failure() -> None:
    with pytest.raises(ValueError, match="inside"), relay_of(Swallowing()).run_block(RUN):
        raise ValueError("inside")


def test_what_a_wrapper_raises_at_the_end_goes_on() -> None:
    with pytest.raises(RuntimeError, match="over budget"), relay_of(Raising()).run_pass(PassRun(["world"], [])):
        pass


def test_a_wrapper_that_does_not_yield_is_named_and_those_before_it_end() -> None:
    log: list[str] = []

    class Hasty:
        @hookimpl(wrapper=True)
        def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
            if log:
                return None
            yield
            return None

    relay = relay_of(Hasty(), Recorder("a", log))  # pluggy starts the one that was registered last
    with pytest.raises(PluginError, match="plugin-0"), relay.run_block(RUN):
        pytest.fail("the body must not run")
    assert log == ["a starts [0]", "a ends"]


def test_a_relay_without_wrappers_hands_out_one_shared_context() -> None:
    relay = relay_of(Observer(fails=False))
    assert relay.run_block(RUN) is relay.run_pass(PassRun([], []))


def test_an_observer_that_raises_is_dropped_and_the_others_go_on() -> None:
    bad, good = Observer(fails=True), Observer(fails=False)
    relay = relay_of(bad, good)
    relay.report({})
    relay.report({})
    assert (bad.num_calls, good.num_calls) == (1, 2)


def test_a_plugin_with_a_misspelt_hook_cannot_take_part() -> None:
    class Misspelt:
        @hookimpl
        def inferix_frame(self, block: object) -> None:
            raise AssertionError

    with pytest.raises(PluginError, match="Did you mean 'inferix_frames'"):
        relay_of(Misspelt())


def test_the_relay_of_a_catalog_holds_installed_observers_and_extra_ones(install: Any) -> None:
    install("acme-watch", "seen = []\n@hookimpl\ndef inferix_report(summary): seen.append(summary)")
    extra = Observer(fails=False)
    catalog = Catalog.discover(only=["acme-watch"])
    catalog.relay([extra]).report({"num_frames": 3})
    (module,) = [one for name, one in catalog.modules().items() if name.startswith("acme-watch")]
    assert module.seen == [{"num_frames": 3}]  # type: ignore[attr-defined]
    assert extra.num_calls == 1
