"""What a world remembers of itself."""

from typing import Any

import pytest
import torch
from inferix_core.runtime.log import BlockRecord, SeedRecord, SignalRecord, WorldLog
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyDecoder, ToyStaggeredPlanner


def frames(value: int) -> torch.Tensor:
    return torch.full((2, 3, 4, 3), value, dtype=torch.uint8)


def digests(log: WorldLog) -> list[str]:
    return [one.digest for one in log.records if isinstance(one, BlockRecord)]


def test_copies_go_their_own_ways() -> None:
    log = WorldLog()
    log.add_block(0, frames(1))
    early, late = log.copy(), log.copy()
    log.add_block(1, frames(2))
    early.add(SeedRecord(1, 7))
    late.add_block(1, frames(2))
    assert len(log.records) == len(early.records) == 2
    assert late.records == log.records
    assert early.records[1] == SeedRecord(1, 7)


def test_a_log_knows_its_last_hash_and_its_length() -> None:
    log = WorldLog()
    assert (log.digest, log.num_records) == ("", 0)
    log.add(SeedRecord(0, 7)), log.add_block(0, frames(1))
    early = log.copy()
    log.add_block(1, frames(2))
    assert [log.digest, early.digest] == [digests(log)[1], digests(log)[0]]
    assert (log.num_records, early.num_records) == (3, 2)


def test_a_hash_covers_all_frames_before_it() -> None:
    one, other = WorldLog(), WorldLog()
    one.add_block(0, frames(1)), other.add_block(0, frames(2))
    one.add_block(1, frames(3)), other.add_block(1, frames(3))
    assert digests(one)[1] != digests(other)[1]


def test_a_log_read_again_goes_on_with_the_same_chain() -> None:
    log = WorldLog()
    log.add_block(0, frames(1))
    again = WorldLog(log.records)
    log.add_block(1, frames(2)), again.add_block(1, frames(2))
    assert digests(again) == digests(log)


def test_a_signal_is_recorded_with_the_block_that_it_reached() -> None:
    world = toy_engine(planner=ToyStaggeredPlanner()).create_world("a")
    world.step()
    world.step(Signal(action="left", id="push"))
    records = [one for one in world.log.records if isinstance(one, SignalRecord)]
    assert [(one.block, one.signal.prompt, one.signal.action) for one in records] == [(0, "a", None), (2, None, "left")]


class FailsOnce(ToyDecoder):
    is_failing = False

    def decode(self, latents: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        if self.is_failing:
            raise RuntimeError("the decoder fails")
        return super().decode(latents, state)


def test_a_failed_step_leaves_no_record() -> None:
    decoder = FailsOnce()
    engine = toy_engine(decoder=decoder)
    world, other = engine.create_world("a", seed=1), engine.create_world("a", seed=1)
    world.step(), other.step()
    decoder.is_failing = True
    with pytest.raises(RuntimeError):
        world.step(Signal(prompt="b"))
    decoder.is_failing = False
    world.step(), other.step()
    assert world.log.records == other.log.records
