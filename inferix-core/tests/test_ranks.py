"""Worlds that a driver steers on several ranks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from inferix_core import ConfigError, Engine, Signal, World
from inferix_core.contracts.model import PassInput
from inferix_core.contracts.parallel import Ranks
from inferix_core.errors import CapacityError, LostRankError, RankError, SignalError
from inferix_core.ranks.comparison import compare
from inferix_core.ranks.line import Line
from inferix_core.ranks.messages import Message
from inferix_core.ranks.store import under
from inferix_core.replay.recording import recording_of
from inferix_core.replay.replaying import verify
from inferix_core.runtime.spread import Whole
from inferix_core.runtime.stages import parts
from inferix_core.testing.grid_model import GridModel
from inferix_core.testing.ranks import on_driven_ranks
from inferix_core.testing.toy_engine import spread_toy_engine, toy_engine
from inferix_core.testing.toy_strategy import ToyStrategy
from inferix_core.testing.toys import ToyPlanner, ToyStaggeredPlanner
from torch import Tensor

Script = Callable[[Engine], Any]
ANY_TEXT = "a 世界 🌍 of\nany \x00 script, " + "long " * 2_000_000


def driven(num_ranks: int, script: Script, *, folder: Path | None = None, **changes: Any) -> Any:
    """What `script` returns on the driver of several ranks, whose followers end in peace."""

    def body(ranks: Ranks, line: Line) -> Any:
        engine = engine_on(ranks, line, **changes)
        if engine.follows:
            engine.follow()
            return "followed"
        try:
            return script(engine)
        finally:
            engine.close()

    first, *others = on_driven_ranks(num_ranks, body)
    assert others == ["followed"] * (num_ranks - 1)
    return first


def engine_on(ranks: Ranks, line: Line, **changes: Any) -> Engine:
    changes = {"model": GridModel(), "num_rewind_blocks": 4, **changes}
    return spread_toy_engine(
        ToyStrategy(ranks=ranks, layout=changes["model"].layout), ranks=ranks, line=line, **changes
    )


def alone(script: Script) -> Any:
    return script(toy_engine(model=GridModel(), num_rewind_blocks=4))


def latents_of(world: World) -> Tensor:
    return torch.stack(list(world.state.committed.values()))


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)


def a_long_life(engine: Engine) -> list[Tensor]:
    """Everything that can be done to a world, and what it has made then."""
    world = engine.create_world("a ball", seed=7)
    world.step()
    (child,) = world.fork(seeds=[3])
    world.send(Signal(prompt="another"))
    world.step()
    child.step(Signal(prompt="a third"))
    world.step()
    world.rewind(2)
    world.step()
    engine.step([world, child])
    made = [latents_of(world), latents_of(child)]
    child.close()
    return [*made, latents_of(world)]


def test_a_world_of_several_ranks_has_the_life_of_one() -> None:
    for found, expected in zip(driven(3, a_long_life), alone(a_long_life), strict=True):
        assert_close(found, expected)


def test_prompts_of_any_script_and_length_reach_every_rank() -> None:
    def told(engine: Engine) -> Tensor:
        world = engine.create_world(ANY_TEXT)
        world.step()
        return latents_of(world)

    assert_close(driven(2, told), alone(told))


def test_a_world_can_begin_with_latents() -> None:
    prefix = torch.randn(2, *GridModel().geometry.latent_shape, generator=torch.Generator().manual_seed(1))

    def begun(engine: Engine) -> Tensor:
        world = engine.create_world("a", prefix=prefix)
        world.step()
        world.step()
        return latents_of(world)

    assert_close(driven(2, begun), alone(begun))


@pytest.mark.parametrize(("saving", "loading"), [(3, 2), (1, 3), (3, 1)])
def test_a_saved_world_goes_on_with_another_number_of_ranks(saving: int, loading: int, tmp_path: Path) -> None:
    path = tmp_path / "saved.world"

    def save(engine: Engine) -> None:
        world = engine.create_world("a ball", seed=7)
        world.step()
        world.step()
        world.send(Signal(prompt="waiting"))
        world.save(path)

    def go_on(engine: Engine) -> Tensor:
        world = engine.load_world(path)
        world.step()
        return latents_of(world)

    def at_once(engine: Engine) -> Tensor:
        world = engine.create_world("a ball", seed=7)
        world.step()
        world.step()
        world.step(Signal(prompt="waiting"))
        return latents_of(world)

    run(saving, save)
    assert_close(run(loading, go_on), alone(at_once))


def run(num_ranks: int, script: Script) -> Any:
    return alone(script) if num_ranks == 1 else driven(num_ranks, script)


def test_a_log_is_replayed_on_several_ranks() -> None:
    def replayed(engine: Engine) -> bool:
        world = engine.create_world("a ball", seed=7)
        world.step()
        (child,) = world.fork(seeds=[9])
        child.step(Signal(prompt="another"))
        child.step()
        return verify(engine, recording_of(child)).first_difference is None

    assert driven(2, replayed)


def test_only_the_driver_decodes_and_a_follower_is_told_nothing_else() -> None:
    def body(ranks: Ranks, line: Line) -> Any:
        engine = engine_on(ranks, line)
        if engine.follows:
            with pytest.raises(ConfigError, match=r"engine\.follow"):
                engine.create_world("a")
            engine.follow()
            return None
        frames = engine.create_world("a").step().frames
        engine.close()
        return frames.shape

    assert on_driven_ranks(2, body)[0] == (5, 12, 20, 3)


def test_a_signal_that_makes_no_sense_is_refused_and_the_ranks_go_on() -> None:
    class Choosy(GridModel):
        def encode(self, signal: Signal, previous: Any) -> Any:
            if signal.action is not None:
                raise SignalError("There are no actions.")
            return super().encode(signal, previous)

    def refused(engine: Engine) -> Tensor:
        world = engine.create_world("a")
        with pytest.raises(SignalError):
            world.send(Signal(action="left"))
        with pytest.raises(SignalError):
            world.step(Signal(action="left"))
        world.step()
        return latents_of(world)

    assert_close(driven(2, refused, model=Choosy()), alone(stepped))


def stepped(engine: Engine) -> Tensor:
    world = engine.create_world("a")
    world.step()
    return latents_of(world)


def test_where_one_rank_has_no_room_no_rank_has_stepped() -> None:
    def body(ranks: Ranks, line: Line) -> Any:
        engine = engine_on(ranks, line)
        if engine.follows:
            reserve_at_most(engine, 2)
            engine.follow()
            return None
        world = engine.create_world("a")
        world.step()
        with pytest.raises(RankError, match=r"rank 1: .*full"):
            world.step()
        found = (world.num_blocks, world.state.caches["main"].held)
        engine.close()
        return found

    assert on_driven_ranks(2, body)[0] == (1, (0, 1))


def reserve_at_most(engine: Engine, num_latents: int) -> None:
    make = engine.parts.store.create

    def create() -> Any:
        cache = make()
        reserve = cache.reserve

        def limited(latents: Any) -> None:
            if len(cache.held) + len(latents) > num_latents:
                raise CapacityError("full")
            reserve(latents)

        cache.reserve = limited
        return cache

    engine.parts.store.create = create  # type: ignore[method-assign]


def test_a_rank_that_dies_is_named_on_all_others() -> None:
    def body(ranks: Ranks, line: Line) -> Any:
        engine = engine_on(ranks, line)
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)  # it makes no step any more, and no sound
        started = time.monotonic()
        with pytest.raises(LostRankError) as error:
            engine.follow() if engine.follows else engine.create_world("a").step()
        return str(error.value), time.monotonic() - started

    def watched(ranks: Ranks, line: Line) -> Any:
        found = body(ranks, line)
        raise AssertionError(f"<{found[0]}> after {found[1]:.0f} s")

    with pytest.raises(AssertionError, match=r"<Rank 1 is gone: no sign of life for \d s> after \d s"):
        on_driven_ranks(3, watched, silence_seconds=2.0)


def test_a_rank_that_is_asked_to_end_gives_signs_of_life_while_it_looks_for_the_one_that_died() -> None:
    def body(ranks: Ranks, line: Line) -> None:
        if ranks.rank == 1:
            watching = next(one for one in threading.enumerate() if one.name == "inferix-watch")
            signal.pthread_kill(watching.ident or 0, signal.SIGTERM)  # as torchrun does to those that are left
            time.sleep(30.0)
        time.sleep(1.5)
        before = line._store.get("beat/1")
        time.sleep(1.0)
        raise AssertionError("alive" if line._store.get("beat/1") != before else "silent")

    with pytest.raises(AssertionError, match="AssertionError: alive"):
        on_driven_ranks(2, body)


def test_a_rank_that_never_comes_is_named() -> None:
    def body(ranks: Ranks, line: Line) -> str:
        own = under("other", dist.distributed_c10d._get_default_store())
        if ranks.rank == 1:
            time.sleep(6.0)
            return ""
        impatient = Line(own, own.clone(), rank=0, num_ranks=2, timeout_seconds=30.0, join_timeout_seconds=2.0)
        with pytest.raises(LostRankError) as error:
            impatient.gathered("described", "{}")
        return str(error.value)

    assert on_driven_ranks(2, body)[0].startswith("Rank 1 is gone: it has not come within")


def test_a_rank_that_fails_in_a_pass_is_named_on_all_others() -> None:
    def body(ranks: Ranks, line: Line) -> Any:
        engine = engine_on(ranks, line, model=FailsOn(ranks.rank == 1))
        with pytest.raises((RankError, ArithmeticError)) as error:
            engine.follow() if engine.follows else engine.create_world("a").step()
        time.sleep(2.0)  # as long as it takes the others to hear of it
        return str(error.value)

    driver, failing, other = on_driven_ranks(3, body)
    assert failing == "too hot"
    assert driver == other == "Rank 1 is gone: ArithmeticError: too hot"


class FailsOn(GridModel):
    def __init__(self, fails: bool) -> None:
        super().__init__()
        self._fails = fails

    def shard(self, state: Any, tokens: range) -> Any:
        if self._fails:
            raise ArithmeticError("too hot")
        return super().shard(state, tokens)


def test_ranks_that_are_not_alike_say_what_differs_where() -> None:
    def body(ranks: Ranks, line: Line) -> str:
        mine = {"inferix-core": "1.0", "model.checkpoint": "aa" if ranks.rank < 2 else "bb"}
        if ranks.rank == 1:
            mine["inferix-extra"] = "0.1"
        with pytest.raises(RankError) as error:
            compare(line, mine)
        line.close()
        return str(error.value)

    messages = on_driven_ranks(3, body)
    assert len(set(messages)) == 1
    assert "inferix-extra is absent on rank 0 and 0.1 on rank 1" in messages[0]
    assert "model.checkpoint is aa on rank 0 and bb on rank 2" in messages[0]
    assert "inferix-core" not in messages[0]


def test_ctrl_c_in_a_step_takes_it_back_on_every_rank() -> None:
    def interrupted(engine: Engine) -> tuple[int, Tensor]:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # programs in the background ignore it
        world = engine.create_world("a")
        draw = world.state.noise.draw

        def interrupting(*arguments: Any, **named: Any) -> Tensor:
            signal.raise_signal(signal.SIGINT)
            return draw(*arguments, **named)

        world.state.noise.draw = interrupting  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            world.step()
        num_blocks = world.num_blocks
        world.state.noise.draw = draw  # type: ignore[method-assign]
        world.step()
        return num_blocks, latents_of(world)

    num_blocks, latents = driven(2, interrupted)
    assert num_blocks == 0
    assert_close(latents, alone(stepped))


@pytest.mark.parametrize("is_staggered", [True, False])
def test_blocks_in_flight_follow_one_another_through_stages_of_layers(is_staggered: bool) -> None:
    passes = seen_parts(ToyStaggeredPlanner() if is_staggered else ToyPlanner())
    expected = [[1], [1, 1], [1, 1, 1]] if is_staggered else [[1], [1], [1]]
    assert [[len(part.entry_lengths) for part in one] for one in passes][: len(expected)] == expected


def test_each_part_of_a_pass_is_told_how_many_blocks_are_left_from_its_own_on() -> None:
    for whole in seen_parts(ToyStaggeredPlanner(), num_blocks=4):
        assert [len(part.num_blocks_left) for part in whole] == [1] * len(whole)
        left = [entry for part in whole for world in part.num_blocks_left for entry in world]
        assert left == list(range(left[0], left[0] - len(whole), -1))


def seen_parts(planner: Any, *, num_blocks: int | None = None) -> list[list[PassInput]]:
    """The parts of each pass of a world's first blocks."""
    found: list[list[PassInput]] = []

    class Watching(Whole):
        def forward(self, model: Any, pass_input: Any, context: Any, *, predicts: bool) -> Tensor | None:
            found.append([part for part, _ in parts(pass_input, context)])
            return super().forward(model, pass_input, context, predicts=predicts)

    model = GridModel()
    engine = toy_engine(model=model, planner=planner, spread=Watching(model.layout.tokens_per_latent))
    world = engine.create_world("a", num_blocks=num_blocks)
    world.step()
    world.step()
    return found


def test_a_message_comes_as_it_was_sent() -> None:
    tensors = {"a": torch.randn(3, 4).bfloat16(), "b": torch.arange(6).view(2, 3).t()}
    found = Message.of(Message("create", {"text": "\ud800 世界", "number": 2**64 - 1}, tensors).to_bytes())
    assert (found.operation, found.data) == ("create", {"text": "\ud800 世界", "number": 2**64 - 1})
    assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)
