import pytest
import torch
from inferix_core.errors import CapacityError, ConfigError, InferixError, PlanError, SignalError, UnsupportedError
from inferix_core.plan import Emit
from inferix_core.runtime.engine import Engine
from inferix_core.signals import Signal, TimedSignal
from inferix_core.testing.toy_engine import toy_engine, toy_store
from inferix_core.testing.toys import ToyDecoder, ToyModel, ToyPlanner


@pytest.fixture(scope="module")
def engine() -> Engine:
    return toy_engine()


def frames(engine: Engine, prompt: str = "a", *, seed: int = 0, num_blocks: int = 4) -> torch.Tensor:
    with engine.create_world(prompt, seed=seed) as world:
        return torch.cat([world.step().frames for _ in range(num_blocks)])


def test_the_same_seed_gives_the_same_frames_and_another_seed_others(engine: Engine) -> None:
    assert torch.equal(frames(engine, seed=3), frames(engine, seed=3))
    assert not torch.equal(frames(engine, seed=3), frames(engine, seed=4))


def test_blocks_follow_one_another_in_index_and_latents(engine: Engine) -> None:
    world = engine.create_world("a")
    blocks = [world.step() for _ in range(3)]
    assert [block.index for block in blocks] == [0, 1, 2]
    assert [block.latents for block in blocks] == [range(2), range(2, 4), range(4, 6)]
    assert [len(block.frames) for block in blocks] == [5, 8, 8]
    assert {"encode", "pass", "commit", "decode"} <= set(blocks[0].timings.seconds)


def test_a_later_block_depends_on_what_is_in_the_cache(engine: Engine) -> None:
    first, second = engine.create_world("a", seed=1), engine.create_world("b", seed=1)
    first.step(), second.step()
    for world in (first, second):
        world.send(Signal(prompt="c"))
    assert not torch.equal(first.step().frames, second.step().frames)


def test_a_prompt_reaches_the_next_block_and_stays(engine: Engine) -> None:
    changed, plain = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    assert torch.equal(changed.step().frames, plain.step().frames)
    changed.send(Signal(prompt="b", id="s-1"))
    block = changed.step()
    assert block.signal_ids == ("s-1",)
    assert not torch.equal(block.frames, plain.step().frames)
    text = changed.state.conditions["text"]  # type: ignore[index]
    assert changed.step().signal_ids == ()
    assert changed.state.conditions["text"] is text  # type: ignore[index]


def test_an_action_lasts_for_one_block(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    world.step(Signal(action="left"))
    pushed = world.state.conditions["action"].tokens  # type: ignore[index]
    world.step()
    assert not torch.equal(pushed, world.state.conditions["action"].tokens)  # type: ignore[index]


def test_a_signal_that_the_model_does_not_understand_changes_nothing(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    with pytest.raises(SignalError, match="no action 'up'"):
        world.send(Signal(action="up"))
    assert torch.equal(torch.cat([world.step().frames for _ in range(4)]), frames(engine, seed=1))


def test_interleaved_worlds_are_what_each_is_alone(engine: Engine) -> None:
    worlds = [engine.create_world(prompt, seed=seed) for seed, prompt in enumerate(["a", "b", "c"])]
    made = {world.id: [] for world in worlds}
    for index in [0, 1, 0, 2, 2, 1, 0, 1, 2, 0, 1, 2]:
        made[worlds[index].id].append(worlds[index].step().frames)
    for seed, (world, prompt) in enumerate(zip(worlds, ["a", "b", "c"], strict=True)):
        assert torch.equal(torch.cat(made[world.id]), frames(engine, prompt, seed=seed))


def test_worlds_of_different_age_in_one_batch_are_what_each_is_alone(engine: Engine) -> None:
    old, young = engine.create_world("a", seed=1), engine.create_world("b", seed=2)
    expected = frames(engine, "a", seed=1), frames(engine, "b", seed=2, num_blocks=3)
    made = [[old.step().frames], []]
    for _ in range(3):
        for frames_of, block in zip(made, engine.step([old, young], [None, None]), strict=True):
            frames_of.append(block.frames)
    for got, wanted in zip(made, expected, strict=True):
        assert (torch.cat(got).int() - wanted.int()).abs().max() <= 1


def test_a_run_gives_exactly_the_frames_asked_for_and_keeps_the_surplus(engine: Engine) -> None:
    world = engine.create_world("a", seed=5)
    first = torch.cat([block.frames for block in world.run(num_frames=7)])
    second = torch.cat([block.frames for block in world.run(seconds=10 / 8)])
    assert (len(first), len(second)) == (7, 10)
    assert torch.equal(torch.cat([first, second]), frames(engine, seed=5)[:17])


def test_a_timed_signal_reaches_the_first_block_that_begins_at_its_time(engine: Engine) -> None:
    world = engine.create_world("a", seed=5)
    timed = [TimedSignal(5 / 8, Signal(prompt="b", id="exact")), TimedSignal(6 / 8, Signal(action="left", id="later"))]
    blocks = list(world.run(num_frames=21, signals=timed))
    assert [block.signal_ids for block in blocks] == [(), ("exact",), ("later",)]


def test_a_step_after_a_run_begins_with_what_the_run_left_over(engine: Engine) -> None:
    world = engine.create_world("a", seed=5)
    made = [block.frames for block in world.run(num_frames=7)]
    made += [world.step().frames]
    made += [block.frames for block in world.run(num_frames=3)]
    assert torch.equal(torch.cat(made), frames(engine, seed=5)[: 5 + 8 + 8 + 3])


def test_a_run_refuses_a_signal_that_makes_no_sense_before_it_makes_a_block(engine: Engine) -> None:
    world = engine.create_world("a")
    with pytest.raises(SignalError, match="no action 'up'"):
        world.run(num_frames=21, signals=[TimedSignal(2.0, Signal(action="up"))])
    assert world.num_blocks == 0


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"num_frames": -1}, {}, {"seconds": 1, "num_frames": 1}])
def test_a_run_without_frames_is_refused(engine: Engine, arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        engine.create_world("a").run(**arguments)


def test_a_prefix_is_cached_and_emitted_and_changes_what_follows(engine: Engine) -> None:
    prefix = torch.randn(2, 2, 2, 4, generator=torch.Generator().manual_seed(0))
    world, other = engine.create_world("a", prefix=prefix), engine.create_world("a", prefix=-prefix)
    decoded, _ = ToyDecoder().decode(prefix, None)
    assert torch.equal(world.step().frames.float(), ((decoded.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1))
    other.step()
    assert not torch.equal(world.step().frames, other.step().frames)


def test_a_prefix_of_another_shape_is_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=r"\[L, 2, 2, 4\]; found \[2, 3, 2, 4\]"):
        engine.create_world("a", prefix=torch.zeros(2, 3, 2, 4))


def test_a_world_with_a_horizon_ends_there(engine: Engine) -> None:
    world = engine.create_world("a", num_blocks=1)
    world.step()
    with pytest.raises(UnsupportedError, match="all 1 blocks"):
        world.step()


def test_a_closed_world_says_so(engine: Engine) -> None:
    world = engine.create_world("a")
    world.close()
    world.close()
    with pytest.raises(InferixError, match="is closed"):
        world.step()


def test_seeds_outside_64_bits_are_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="Seeds go from 0"):
        engine.create_world("a", seed=-1)


class FailingOnce:
    """A decoder that fails at one call, as a Ctrl-C there would."""

    def __init__(self, failing_call: int) -> None:
        self._calls = iter(range(1000))
        self._failing_call = failing_call

    def decode(self, latents: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        if next(self._calls) == self._failing_call:
            raise KeyboardInterrupt
        return ToyDecoder().decode(latents, state)


def test_a_step_that_is_interrupted_can_be_made_again(engine: Engine) -> None:
    failing = Engine(engine.parts, FailingOnce(2))
    world = failing.create_world("a", seed=9)
    made = [world.step().frames, world.step().frames]
    world.send(Signal(prompt="b"))
    with pytest.raises(KeyboardInterrupt):
        world.step()
    made += [world.step().frames, world.step().frames]
    smooth = engine.create_world("a", seed=9)
    expected = [smooth.step().frames, smooth.step().frames]
    expected += [smooth.step(Signal(prompt="b")).frames, smooth.step().frames]
    assert torch.equal(torch.cat(made), torch.cat(expected))


def test_a_full_store_refuses_the_block_and_the_world_stays_as_it_was() -> None:
    world = toy_engine(store=toy_store(ToyModel(), max_latents=4)).create_world("a", seed=3)
    world.step(), world.step()
    for _ in range(2):
        with pytest.raises(CapacityError, match="max_latents is 4"):
            world.step()
    assert world.num_blocks == 2
    assert world.state.caches["main"].held == (0, 1, 2, 3)


@pytest.mark.parametrize("num_latents", [1, 3, 7])
def test_a_prefix_that_ends_inside_a_block_is_told_when_the_world_is_created(engine: Engine, num_latents: int) -> None:
    with pytest.raises(PlanError, match=f"prefix of {num_latents} latents ends inside a block"):
        engine.create_world("a", prefix=torch.zeros(num_latents, 2, 2, 4))


def test_a_prefix_is_the_worlds_own(engine: Engine) -> None:
    prefix = torch.ones(2, 2, 2, 4)
    world, same = engine.create_world("a", prefix=prefix), engine.create_world("a", prefix=prefix.clone())
    prefix.zero_()
    assert torch.equal(world.step().frames, same.step().frames)


@pytest.mark.parametrize("num_blocks", [0, -1])
def test_a_horizon_without_blocks_is_refused(engine: Engine, num_blocks: int) -> None:
    with pytest.raises(ConfigError, match="at least 1 block"):
        engine.create_world("a", num_blocks=num_blocks)


class FussyPlanner(ToyPlanner):
    """Has no plan for a prefix."""

    def plan(self, progress):  # type: ignore[no-untyped-def]
        if progress.num_prefix_latents:
            raise PlanError("no prefix, please")
        return super().plan(progress)


def test_what_cannot_be_planned_is_said_when_the_world_is_created() -> None:
    with pytest.raises(PlanError, match="no prefix"):
        toy_engine(planner=FussyPlanner()).create_world("a", prefix=torch.zeros(2, 2, 2, 4))


class EmittingPlanner(ToyPlanner):
    """Shows the viewer only the first frame of each block."""

    def plan(self, progress):  # type: ignore[no-untyped-def]
        return (*super().plan(progress), Emit(progress.num_finished, slice(0, 1)))


def test_a_plan_can_emit_a_part_of_a_block() -> None:
    world = toy_engine(planner=EmittingPlanner()).create_world("a")
    assert [len(world.step().frames) for _ in range(2)] == [1, 1]


class EmittingTooMuch(ToyPlanner):
    """Emits a block that is still to come."""

    def plan(self, progress):  # type: ignore[no-untyped-def]
        return (*super().plan(progress), Emit(progress.num_finished + 1))


def test_a_plan_that_emits_what_it_has_not_finished_is_an_error() -> None:
    with pytest.raises(PlanError, match="emits block 1"):
        toy_engine(planner=EmittingTooMuch()).create_world("a").step()


@pytest.mark.parametrize("field", ["prompt", "action", "id", "negative_prompt"])
def test_a_signal_is_text(field: str) -> None:
    with pytest.raises(SignalError, match=rf"A signal's {field} is text, found 3 \(int\)"):
        Signal(**{field: 3})  # type: ignore[arg-type]


def test_what_is_no_signal_is_refused_with_what_would_be_one(engine: Engine) -> None:
    world = engine.create_world("a")
    with pytest.raises(SignalError, match=r"Signal\(prompt=…\).*found 3"):
        world.step(3)  # type: ignore[arg-type]
    assert world.num_blocks == 0
