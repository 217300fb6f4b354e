"""Runs that decode a block while they denoise the next one: the same frames, and the same world between blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.catalog import Catalog
from inferix_core.configuration import resolve
from inferix_core.errors import CapacityError, ConfigError, UnsupportedError
from inferix_core.events import BlockRun
from inferix_core.hookspecs import hookimpl
from inferix_core.relay import Relay
from inferix_core.runtime.building import choose_overlap
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.threads import Threads
from inferix_core.runtime.world import World
from inferix_core.signals import Signal, TimedSignal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyDecoder, ToyModel, ToyPlanner, ToyStaggeredPlanner
from torch import Tensor

from .conftest import Install

FRAMES = 5 + 8 + 8 + 8
SIGNALS = (
    TimedSignal(5 / 8, Signal(prompt="b", id="first")),
    TimedSignal(6 / 8, Signal(action="left", id="second")),
    TimedSignal.at_block(2, Signal(prompt="c", id="third")),
)


def engine_with(*, overlap: bool, decoder: Any = None, threads: Threads | None = None, **changes: Any) -> Engine:
    parts = toy_engine(**changes).parts
    return Engine(parts, decoder or ToyDecoder(), num_rewind_blocks=2, overlap_decode=overlap, threads=threads)


def both(**changes: Any) -> tuple[World, World]:
    """The same world, one made without and one with decoding overlapped."""
    first, second = (engine_with(overlap=overlap, **changes).create_world("a", seed=3) for overlap in (False, True))
    return first, second


def taken(world: World, num_blocks: int) -> tuple[Any, list[Tensor]]:
    """A run that is left behind so many blocks, not closed, and the frames until there."""
    run = world.run(num_frames=FRAMES, signals=SIGNALS)
    return run, [next(run).frames for _ in range(num_blocks)]


class Watched(ToyModel):
    """Calls `seen(time, first latent)` before each pass."""

    def __init__(self, seen: Callable[[int], None]) -> None:
        super().__init__()
        self._seen = seen

    def embed(self, pass_input: Any) -> Any:
        self._seen(pass_input.positions[0][0])
        return super().embed(pass_input)


class Failing(ToyDecoder):
    """Raises once, at the call of that number."""

    def __init__(self, error: BaseException, *, at: int) -> None:
        self._error, self._left = error, at

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        self._left -= 1
        if self._left == -1:
            raise self._error
        return super().decode(latents, state)


@pytest.mark.parametrize("planner", [ToyPlanner, ToyStaggeredPlanner])
@pytest.mark.parametrize("num_frames", [3, FRAMES - 2, FRAMES])
def test_a_run_gives_the_same_blocks_and_the_same_log(planner: Callable[[], Any], num_frames: int) -> None:
    plain, ahead = both(planner=planner())
    pairs = zip(*(list(world.run(num_frames=num_frames, signals=SIGNALS)) for world in (plain, ahead)), strict=True)
    for one, other in pairs:
        assert torch.equal(one.frames, other.frames)
        assert (one.index, one.latents, one.signal_ids) == (other.index, other.latents, other.signal_ids)
        assert set(other.timings.seconds) == set(one.timings.seconds)
    assert ahead.log.records == plain.log.records
    assert ahead.state.num_frames == plain.state.num_frames
    assert torch.equal(plain.step().frames, ahead.step().frames)
    assert (ahead.num_kv_bytes, ahead.engine.num_kv_bytes) == (plain.num_kv_bytes, plain.engine.num_kv_bytes)


def test_a_block_is_decoded_while_the_next_one_is_denoised() -> None:
    next_has_begun = threading.Event()

    class Waiting(ToyDecoder):
        def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
            if state is None:
                assert next_has_begun.wait(timeout=10.0)
            return super().decode(latents, state)

    model = Watched(lambda latent: next_has_begun.set() if latent == 2 else None)
    world = engine_with(overlap=True, model=model, decoder=Waiting()).create_world("a")
    assert [block.index for block in world.run(num_frames=13)] == [0, 1]


def test_nothing_is_denoised_that_the_run_does_not_need() -> None:
    begun: list[int] = []
    world = engine_with(overlap=True, model=Watched(begun.append)).create_world("a")
    list(world.run(num_frames=12))
    assert max(begun) == 2
    list(world.run(num_frames=1))  # the surplus
    assert max(begun) == 2


def test_a_step_makes_one_block_alone() -> None:
    begun: list[int] = []
    engine_with(overlap=True, model=Watched(begun.append)).create_world("a").step()
    assert set(begun) == {0}


def forked(world: World) -> World:
    return world.fork()[0]


def told(world: World) -> World:
    world.send(Signal(prompt="late"))
    return world


def rewound(world: World) -> World:
    world.rewind(1)
    return world


@pytest.mark.parametrize("touch", [forked, told, rewound, lambda world: world])
def test_whoever_touches_the_world_between_blocks_finds_it_as_after_the_last_one(touch: Any) -> None:
    plain, ahead = both()
    for world in (plain, ahead):
        taken(world, 2)
    assert ahead.num_blocks == plain.num_blocks == 2
    assert ahead.log.records == plain.log.records
    assert [cache.held for cache in ahead.state.caches.values()] == [c.held for c in plain.state.caches.values()]
    others = [touch(world) for world in (plain, ahead)]
    frames = [torch.cat([world.step().frames for _ in range(3)]) for world in others]
    assert torch.equal(frames[0], frames[1])
    assert others[0].log.records == others[1].log.records


def test_a_world_saved_between_blocks_is_the_same_file(tmp_path: Path) -> None:
    plain, ahead = both()
    for name, world in (("plain", plain), ("ahead", ahead)):
        taken(world, 2)
        world.save(tmp_path / name)
    loaded = [engine_with(overlap=False).load_world(tmp_path / name) for name in ("plain", "ahead")]
    assert loaded[0].log.records == loaded[1].log.records
    assert torch.equal(loaded[0].step().frames, loaded[1].step().frames)


def test_a_run_goes_on_after_the_world_was_told_something_between_its_blocks() -> None:
    plain, ahead = both()
    frames = []
    for world in (plain, ahead):
        run, first = taken(world, 2)
        world.send(Signal(prompt="late", id="late"))
        rest = list(run)
        assert rest[0].signal_ids == ("late", "second", "third")
        frames.append(torch.cat([*first, *(block.frames for block in rest)]))
    assert torch.equal(frames[0], frames[1])


def test_two_runs_of_one_world_take_turns() -> None:
    frames = []
    for world in both():
        first, second = world.run(num_frames=FRAMES), world.run(num_frames=FRAMES, signals=SIGNALS)
        frames.append(torch.cat([next(run).frames for run in (first, second, second, first, second)]))
    assert torch.equal(frames[0], frames[1])


def test_a_run_that_is_left_takes_no_room() -> None:
    plain, ahead = both()
    for world in (plain, ahead):
        run, _ = taken(world, 2)
        run.close()
    assert ahead.engine.num_kv_bytes == plain.engine.num_kv_bytes
    assert torch.equal(ahead.step().frames, plain.step().frames)


def test_a_world_closed_in_the_middle_of_a_run_leaves_nothing() -> None:
    _, world = both()
    run, _ = taken(world, 2)
    world.close()
    assert world.engine.num_kv_bytes == 0
    run.close()


@pytest.mark.parametrize("error", [RuntimeError("no such frames"), KeyboardInterrupt()])
def test_a_decoder_that_fails_in_its_thread_loses_nothing(error: BaseException) -> None:
    expected = [block.frames for block in both()[0].run(num_frames=FRAMES)]
    world = engine_with(overlap=True, decoder=Failing(error, at=2)).create_world("a", seed=3)
    run = world.run(num_frames=FRAMES)
    made = [next(run).frames for _ in range(2)]
    with pytest.raises(type(error)):
        next(run)
    assert (world.num_blocks, world.state.num_frames) == (2, 13)
    made += [block.frames for block in world.run(num_frames=FRAMES - 13)]
    assert torch.equal(torch.cat(made), torch.cat(expected))


def test_a_failed_step_has_heard_of_its_signals() -> None:
    logs = []
    for overlap in (False, True):
        decoder = Failing(RuntimeError("no such frames"), at=1)
        world = engine_with(overlap=overlap, decoder=decoder).create_world("a", seed=3)
        with pytest.raises(RuntimeError):
            list(world.run(num_frames=FRAMES, signals=SIGNALS))
        world.step()
        logs.append(world.log.records)
    assert logs[0] == logs[1]


def test_what_goes_wrong_ahead_is_raised_by_the_block_that_needs_it() -> None:
    def fail(latent: int) -> None:
        if latent == 4:
            raise ValueError("the third block")

    world = engine_with(overlap=True, model=Watched(fail)).create_world("a", seed=3)
    run = world.run(num_frames=FRAMES)
    assert [next(run).index, next(run).index] == [0, 1]
    with pytest.raises(ValueError, match="the third block"):
        next(run)
    assert world.num_blocks == 2


def test_an_interrupt_while_looking_ahead_leaves_the_world_as_after_the_last_block() -> None:
    interrupts = [4]

    def interrupt(latent: int) -> None:
        if interrupts and latent == interrupts[0]:
            interrupts.clear()
            raise KeyboardInterrupt

    expected = torch.cat([block.frames for block in both()[0].run(num_frames=FRAMES)])
    world = engine_with(overlap=True, model=Watched(interrupt)).create_world("a", seed=3)
    run = world.run(num_frames=FRAMES)
    made = [next(run).frames]
    with pytest.raises(KeyboardInterrupt):
        next(run)
    assert world.num_blocks == 1
    made += [block.frames for block in world.run(num_frames=FRAMES - 5)]
    assert torch.equal(torch.cat(made), expected)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_run_goes_on_without_looking_ahead_where_there_is_no_room_for_it(
    monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    plain, ahead = both()
    expected = torch.cat([block.frames for block in plain.run(num_frames=FRAMES)])
    denoise, calls = ahead.engine.denoising.run, []

    def short(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == failing:
            raise CapacityError("There is no room for a block more.")
        return denoise(*arguments, **named)

    monkeypatch.setattr(ahead.engine.denoising, "run", short)
    assert torch.equal(torch.cat([block.frames for block in ahead.run(num_frames=FRAMES)]), expected)
    assert len(calls) == 5


def test_a_horizon_ends_the_run_where_it_would_end() -> None:
    world = engine_with(overlap=True).create_world("a", num_blocks=2)
    assert [block.index for block in world.run(num_frames=13)] == [0, 1]
    with pytest.raises(UnsupportedError, match="all 2 blocks"):
        world.step()


def test_a_decoder_that_makes_other_frames_than_the_geometry_says_gets_its_signals_in_time() -> None:
    class Double(ToyDecoder):
        def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
            frames, after = super().decode(latents, state)
            return torch.cat([frames, frames]), after

    plain, ahead = both(decoder=Double())
    ids = [[block.signal_ids for block in world.run(num_frames=50, signals=SIGNALS)] for world in (plain, ahead)]
    assert ids[0] == ids[1]
    assert ahead.log.records == plain.log.records


class Wrappers:
    """Notes which blocks were begun and how they ended."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, str]] = []
        self.open: list[int] = []

    @hookimpl(wrapper=True)
    def inferix_run_block(self, run: BlockRun) -> Generator[None, object, object]:
        (index,) = run.blocks
        self.open.append(index)
        try:
            outcome = yield
            self.ended.append((index, "made"))
        except BaseException as error:
            self.ended.append((index, type(error).__name__))
            raise
        finally:
            self.open.remove(index)
        return outcome


def test_every_wrapper_of_a_block_ends_when_the_block_is_given_out_or_given_up() -> None:
    wrappers, relay = Wrappers(), Relay()
    relay.register(wrappers, "wrappers")
    world = engine_with(overlap=True, relay=relay).create_world("a")
    run, _ = taken(world, 2)
    assert (wrappers.ended, wrappers.open) == ([(0, "made"), (1, "made")], [2])
    run.close()
    assert (wrappers.ended[2:], wrappers.open) == ([(2, "GeneratorExit")], [])


def test_observers_are_shown_a_block_when_it_is_given_out() -> None:
    class Observer:
        def __init__(self) -> None:
            self.seen: list[tuple[int, int, bool]] = []

        @hookimpl
        def inferix_frames(self, block: Any) -> None:
            self.seen.append((block.index, world.num_blocks, threading.current_thread() is threading.main_thread()))

    observer, relay = Observer(), Relay()
    relay.register(observer, "observer")
    world = engine_with(overlap=True, relay=relay).create_world("a")
    list(world.run(num_frames=13))
    assert observer.seen == [(0, 1, True), (1, 2, True)]


def test_the_decoders_thread_has_its_own_number_and_changes_nobody_elses() -> None:
    before = torch.get_num_threads()
    seen: list[tuple[int, bool]] = []

    class Counting(ToyDecoder):
        def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
            seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
            return super().decode(latents, state)

    def thread_numbers(threads: Threads) -> list[tuple[int, bool]]:
        seen.clear()
        world = engine_with(overlap=True, decoder=Counting(), threads=threads).create_world("a")
        list(world.run(num_frames=21))
        return list(seen)

    assert thread_numbers(Threads(network=before + 1, decoder=before + 2)) == [(before + 2, True)] * 3
    assert thread_numbers(Threads(network=before + 1)) == [(before, True)] * 3
    of_new_thread: list[int] = []
    thread = threading.Thread(target=lambda: of_new_thread.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (torch.get_num_threads(), of_new_thread) == (before, [before])


def test_a_closed_engine_leaves_no_thread_and_may_go_on() -> None:
    others = set(threading.enumerate())
    world = both()[1]
    run, _ = taken(world, 1)
    (thread,) = set(threading.enumerate()) - others
    world.engine.close()
    assert not thread.is_alive()
    assert len(list(run)) == 3
    world.engine.close()


STORES = """
@hookimpl
def inferix_models():
    yield ModelSpec("toy", "A toy.", "nowhere:Model", preset={
        "planner": {"use": "toy"}, "solver": {"use": "toy"}, "decoder": {"use": "toy"}})

@hookimpl
def inferix_schedulers():
    yield Spec("toy", "A toy.", "nowhere:Planner")

@hookimpl
def inferix_solvers():
    yield Spec("toy", "A toy.", "nowhere:Solver")

@hookimpl
def inferix_decoders():
    yield Spec("toy", "A toy.", "nowhere:Decoder")

@hookimpl
def inferix_kv_stores():
    yield Spec("sharing", "A toy.", "nowhere:Store", provides=frozenset({"fork", "shared-pages"}))
    yield Spec("rigid", "A toy.", "nowhere:Store")
"""


def choice(store: str, device: str, *, num_ranks: int = 1, **settings: Any) -> bool:
    config = resolve({"model": {"use": "toy"}, "kv": {"store": {"use": store}}, **settings}, Catalog.discover())
    return choose_overlap(config, torch.device(device), num_ranks=num_ranks)


def test_auto_overlaps_where_it_pays(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-toy", STORES)
    monkeypatch.setattr("inferix_core.runtime.building._num_cores", lambda: 2)
    threads = {"num_threads": 1, "num_decoder_threads": 1}
    assert choice("sharing", "cuda")
    assert not choice("sharing", "cuda", num_ranks=2)  # they make every block together
    assert not choice("dense", "cuda")  # a copy of all pages for every block
    assert choice("sharing", "cpu", **threads)
    assert not choice("sharing", "cpu")  # the decoder has every core
    assert not choice("sharing", "cpu", num_threads=1, num_decoder_threads=2)
    assert not choice("dense", "cpu", **threads)


def test_what_is_said_counts_and_needs_a_store_that_forks(install: Install) -> None:
    install("acme-toy", STORES)
    assert choice("dense", "cpu", overlap_decode=True)
    assert not choice("sharing", "cuda", overlap_decode=False)
    with pytest.raises(ConfigError, match="'rigid' does not provide 'fork'"):
        choice("rigid", "cuda", overlap_decode=True)
    assert not choice("rigid", "cuda")
    with pytest.raises(ConfigError, match="2 ranks make every block together"):
        choice("sharing", "cpu", num_ranks=2, overlap_decode=True)
