"""A world made again from its log."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from inferix_core.contracts.model import Condition
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.errors import ConfigError
from inferix_core.replay import Recording, Replay, read_log, recording_of, verify, write_log
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.log import BlockRecord, Record, SeedRecord, SignalRecord, WorldLog
from inferix_core.runtime.world import World
from inferix_core.signals import Signal, TimedSignal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import HEAD_DIM, HEADS, ToyModel, ToyStaggeredPlanner
from inferix_core.worldfile import recording_in


@pytest.fixture(scope="module")
def engine() -> Engine:
    return toy_engine()


def lived(engine: Engine, **options: object) -> World:
    """A world of five blocks with a timed prompt and an action."""
    world = engine.create_world("a", seed=3, **options)  # type: ignore[arg-type]
    signals = [TimedSignal(0.5, Signal(prompt="b")), TimedSignal(1.5, Signal(action="left"))]
    list(world.run(num_frames=33, signals=signals))
    return world


def changed(recording: Recording, kind: type, index: int, change: Callable[[Record], Record]) -> Recording:
    """The recording with its record number `index` of a kind changed."""
    place = [at for at, one in enumerate(recording.records) if isinstance(one, kind)][index]
    records = list(recording.records)
    records[place] = change(records[place])
    return replace(recording, records=records)


def frames(blocks: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(blocks))


def test_the_same_frames_come_from_the_log_alone(engine: Engine, tmp_path: Path) -> None:
    world = engine.create_world("a", seed=3)
    made = frames(world.step(Signal(action="left") if index == 2 else None).frames for index in range(4))
    write_log(world, tmp_path / "world.log")
    recording = read_log(tmp_path / "world.log")
    with Replay(toy_engine(), recording) as replay:
        again = list(replay.blocks())
        assert list(replay.world.log.records) == list(world.log.records)
    assert torch.equal(frames(one.block.frames for one in again), made)
    assert all(one.is_same for one in again)
    assert [one.seconds for one in again] == [0.0, 5 / 8, 13 / 8, 21 / 8]


def test_signals_reach_the_blocks_that_they_reached(engine: Engine) -> None:
    assert verify(engine, recording_of(lived(engine))).is_verified


def test_a_world_that_began_with_a_prefix_is_verified(engine: Engine) -> None:
    world = lived(engine, prefix=torch.randn(4, 2, 2, 4), num_blocks=8)
    recording = recording_of(world)
    assert verify(engine, recording).is_verified
    assert not verify(engine, replace(recording, prefix=recording.prefix + 1.0)).is_verified


@pytest.mark.parametrize("is_saved", [False, True], ids=["log", "saved world"])
def test_a_world_that_began_with_conditions_is_verified_from_a_file(
    engine: Engine, tmp_path: Path, is_saved: bool
) -> None:
    given = {"text": Condition(torch.randn(1, 3, HEADS * HEAD_DIM), "a picture")}
    world = engine.create_world(seed=3, conditions=given)
    for action in (None, "left"):
        world.step(Signal(action=action))
    if is_saved:
        world.save(tmp_path / "world")
        recording = recording_in(tmp_path / "world")
    else:
        write_log(world, tmp_path / "world")
        recording = read_log(tmp_path / "world")
    assert torch.equal(recording.conditions["text"].tokens, given["text"].tokens)
    assert recording.conditions["text"].memo == "a picture"
    assert verify(engine, recording).is_verified
    assert not verify(engine, replace(recording, conditions={})).is_verified
    with engine.load_world(tmp_path / "world") if is_saved else Replay(engine, recording).world as again:
        assert recording_of(again).conditions.keys() == {"text"}


def test_signals_reach_the_blocks_that_they_reached_while_several_are_in_flight() -> None:
    engine = toy_engine(planner=ToyStaggeredPlanner())
    world = lived(engine)
    (child,) = world.fork(1, seeds=[9])
    child.step(Signal(action="right")), child.step(Signal(prompt="c"))
    recording = recording_of(child)
    with Replay(engine, recording) as replay:
        assert all(one.is_same for one in replay.blocks())
        assert list(replay.world.log.records) == list(child.log.records)


def test_a_child_with_a_seed_of_its_own_is_verified(engine: Engine) -> None:
    (child,) = lived(engine).fork(1, seeds=[9])
    child.step(), child.step(Signal(prompt="c"))
    (grandchild,) = child.fork(1, seeds=[10])
    grandchild.step()
    assert verify(engine, recording_of(grandchild)).is_verified


def test_a_child_with_a_seed_of_its_own_from_the_beginning_is_verified(engine: Engine) -> None:
    (child,) = engine.create_world("a", seed=3).fork(1, seeds=[9])
    child.step()
    assert verify(engine, recording_of(child)).is_verified


def test_a_rewound_world_is_verified() -> None:
    engine = Engine(toy_engine().parts, toy_engine().decoder, num_rewind_blocks=3)
    world = lived(engine)
    world.rewind(3)
    world.step(Signal(prompt="z")), world.step()
    recording = recording_of(world)
    assert len(recording.digests) == 5
    assert verify(engine, recording).is_verified


def test_a_store_that_cuts_otherwise_gives_the_same_frames(engine: Engine) -> None:
    recording = recording_of(lived(engine))
    model = ToyModel()
    for slack in (0, 7):
        config = DenseConfig(slack_latents=slack)
        device = torch.device("cpu")
        store = DenseStore(config, layout=model.layout, capacity=12, device=device, dtype=model.dtype)
        assert verify(toy_engine(model=model, store=store), recording).is_verified


def test_a_changed_hash_is_found_at_its_block(engine: Engine) -> None:
    recording = recording_of(lived(engine))
    tampered = changed(recording, BlockRecord, 3, lambda one: replace(one, digest="0" * 64))
    found = verify(engine, tampered)
    assert (found.num_blocks, found.first_difference.block.index) == (3, 3)  # type: ignore[union-attr]
    assert found.first_difference.seconds == 21 / 8  # type: ignore[union-attr]


@pytest.mark.parametrize(("index", "block"), [(0, 0), (1, 1), (2, 2)])
def test_a_changed_signal_is_found_at_the_block_that_it_reached(engine: Engine, index: int, block: int) -> None:
    recording = recording_of(lived(engine))
    signal = Signal(action="right") if index == 2 else Signal(prompt="other")
    found = verify(engine, changed(recording, SignalRecord, index, lambda one: replace(one, signal=signal)))
    assert found.first_difference is not None
    assert found.first_difference.block.index == block


@pytest.mark.parametrize(("index", "block"), [(0, 0), (1, 5)])
def test_a_changed_seed_is_found_at_its_block(engine: Engine, index: int, block: int) -> None:
    (child,) = lived(engine).fork(1, seeds=[9])
    child.step(), child.step()
    found = verify(engine, changed(recording_of(child), SeedRecord, index, lambda one: replace(one, seed=77)))
    assert found.first_difference is not None
    assert found.first_difference.block.index == block


def test_a_replay_may_end_earlier_and_go_on_otherwise(engine: Engine) -> None:
    recording = recording_of(lived(engine))
    with Replay(engine, recording) as replay:
        assert len(list(replay.blocks(2))) == 2
        replay.world.step()
        assert [one.block for one in replay.world.log.records if isinstance(one, SignalRecord)] == [0, 1]


def cut(recording: Recording, num_records: int) -> Recording:
    return replace(recording, records=recording.records[:num_records])


def test_signals_for_blocks_that_were_cut_off_reach_them_where_the_replay_goes_on() -> None:
    engine = toy_engine(planner=ToyStaggeredPlanner())
    world = engine.create_world("a", seed=3)
    made = frames(world.step(Signal(action="left") if index == 1 else None).frames for index in range(4))
    recording = recording_of(world)
    place = next(at for at, one in enumerate(recording.records) if isinstance(one, SignalRecord) and one.block == 2)
    recording = cut(recording, place + 1)
    assert [one.block for one in recording.unreached] == [2]
    with Replay(engine, recording) as replay:
        again = [one.block.frames for one in replay.blocks()]
        again += [replay.world.step().frames for _ in range(3)]
    assert torch.equal(frames(again), made)


def test_a_signal_for_a_block_that_does_not_begin_there_is_found(engine: Engine) -> None:
    recording = recording_of(lived(engine))
    late = changed(recording, SignalRecord, 2, lambda one: replace(one, block=4))
    assert verify(engine, late).first_difference.block.index == 2  # type: ignore[union-attr]
    beyond = changed(recording, SignalRecord, 2, lambda one: replace(one, block=99))
    assert not verify(engine, beyond).is_verified


def test_a_replay_goes_on_where_it_ended_earlier(engine: Engine) -> None:
    with Replay(engine, recording_of(lived(engine))) as replay:
        assert all(one.is_same for one in [*replay.blocks(1), *replay.blocks()])
        assert replay.world.num_blocks == 5


def test_the_log_is_not_read_anew_for_each_block(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    recording, records, num_reads = recording_of(lived(engine)), WorldLog.records, 0

    def counted(log: WorldLog) -> Sequence[Record]:
        nonlocal num_reads
        num_reads += 1
        return records.__get__(log)  # type: ignore[no-any-return]

    monkeypatch.setattr(WorldLog, "records", property(counted))
    with Replay(engine, recording) as replay:
        assert all(one.is_same for one in replay.blocks())
    assert num_reads == 0


def test_more_blocks_than_the_log_has_are_refused(engine: Engine) -> None:
    with Replay(engine, recording_of(lived(engine))) as replay, pytest.raises(ConfigError, match="the log has 5"):
        replay.blocks(6)


def test_what_is_not_as_it_was_is_named(engine: Engine) -> None:
    recording = recording_of(lived(engine))
    assert recording.differences(engine) == []
    then = replace(
        recording.circumstances, torch="0.9", num_threads=64, versions={"inferix-core": "0.0.1", "gone": "1"}
    )
    found = replace(recording, circumstances=then).differences(engine)
    assert [one.partition(":")[0] for one in found] == ["torch", "network's threads", "gone", "inferix-core"]
    assert found[0] == f"torch: 0.9 → {torch.__version__}"
    assert "gone: 1 → absent" in found
