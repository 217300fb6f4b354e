from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from inferix_core.contracts.model import PassInput
from inferix_core.errors import PlanError
from inferix_core.plan import Emit, Entry, Op, Pass, Progress, Restart
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyAutoencoder, ToyDecoder, ToyModel, ToyPlanner

BLOCKS_A_ROLLOUT = 3


class OverlappingPlanner(ToyPlanner):
    """Every third block starts positions again, over the last `num_carried` latents."""

    def __init__(self, *, num_carried: int) -> None:
        super().__init__()
        self._num_carried = num_carried

    def plan(self, progress: Progress) -> Sequence[Op]:
        ops, block = super().plan(progress), progress.num_finished
        rollout = block // BLOCKS_A_ROLLOUT
        if rollout == 0:
            return ops
        start = rollout * BLOCKS_A_ROLLOUT * self.num_block_latents - self._num_carried
        moved = [self._moved(op, start) for op in ops if isinstance(op, Pass)]
        if block % BLOCKS_A_ROLLOUT:
            return moved
        carried = range(start, start + self._num_carried)
        carry = Entry(block - 1, carried, 0, self.levels[-1]) if self._num_carried else None
        return [Restart(carry), *moved]

    @staticmethod
    def _moved(op: Pass, start: int) -> Pass:
        return replace(op, entries=tuple(replace(e, first_position=e.latents.start - start) for e in op.entries))


class RecordingModel(ToyModel):
    """Remembers positions and latents of every pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[PassInput] = []

    def embed(self, pass_input: PassInput):  # type: ignore[no-untyped-def]
        self.inputs.append(pass_input)
        return super().embed(pass_input)


def test_positions_start_again_over_the_clean_latents_that_are_carried_over() -> None:
    model = RecordingModel()
    world = toy_engine(model=model, planner=OverlappingPlanner(num_carried=2)).create_world("a")
    blocks = [world.step() for _ in range(4)]
    clean_pass, carried = model.inputs[8], model.inputs[9]  # three passes a block
    assert torch.equal(carried.latents, clean_pass.latents)
    assert [list(given.positions[0]) for given in model.inputs[8:11]] == [[4, 5], [0, 1], [2, 3]]
    assert world.state.caches["main"].held == (4, 5, 6, 7)
    assert [block.index for block in blocks] == [0, 1, 2, 3]
    assert blocks[3].latents == range(6, 8)


def test_without_a_carry_nothing_is_seen_of_the_rollout_before() -> None:
    world = toy_engine(planner=OverlappingPlanner(num_carried=0)).create_world("a")
    for _ in range(4):
        world.step()
    assert world.state.caches["main"].held == (6, 7)


def test_what_is_carried_over_steers_what_follows() -> None:
    carrying, plain = (
        toy_engine(planner=OverlappingPlanner(num_carried=count)).create_world("a", seed=1) for count in (2, 0)
    )
    frames = [[world.step().frames for _ in range(4)] for world in (carrying, plain)]
    assert all(torch.equal(*pair) for pair in zip(frames[0][:3], frames[1][:3], strict=True))
    assert not torch.equal(frames[0][3], frames[1][3])


def test_a_restart_that_is_interrupted_can_be_made_again() -> None:
    class FailingOnce(ToyDecoder):
        num_calls = 0

        def decode(self, latents: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
            self.num_calls += 1
            if self.num_calls == 4:
                raise KeyboardInterrupt
            return super().decode(latents, state)

    planner = OverlappingPlanner(num_carried=2)
    world = toy_engine(planner=planner, decoder=FailingOnce()).create_world("a", seed=1)
    smooth = toy_engine(planner=planner).create_world("a", seed=1)
    for _ in range(3):
        assert torch.equal(world.step().frames, smooth.step().frames)
    with pytest.raises(KeyboardInterrupt):
        world.step()
    for _ in range(4):
        assert torch.equal(world.step().frames, smooth.step().frames)


def test_latents_without_pages_cannot_be_carried_over() -> None:
    class Forgetful(OverlappingPlanner):
        def plan(self, progress: Progress) -> Sequence[Op]:
            return [Restart(Entry(7, range(14, 16), 0, self.levels[-1])), *super().plan(progress)]

    with pytest.raises(PlanError, match=r"latents \[14, 15\], whose pages are not held"):
        toy_engine(planner=Forgetful(num_carried=2)).create_world("a").step()


def test_an_anchor_must_have_been_emitted_by_the_block_before() -> None:
    class Unanchored(OverlappingPlanner):
        def plan(self, progress: Progress) -> Sequence[Op]:
            ops = super().plan(progress)
            return [replace(op, from_anchor=True) if isinstance(op, Restart) else op for op in ops]

    world = toy_engine(planner=Unanchored(num_carried=2), decoder=ToyAutoencoder()).create_world("a", seed=1)
    smooth = toy_engine(planner=ToyPlanner(), decoder=ToyAutoencoder()).create_world("a", seed=1)
    for _ in range(3):
        assert torch.equal(world.step().frames, smooth.step().frames)
    with pytest.raises(PlanError, match="from an anchor, but the block before has emitted none"):
        world.step()
    assert world.num_blocks == 3


def test_nothing_is_decoded_behind_latents_that_are_not_held() -> None:
    class Behind(ToyPlanner):
        def plan(self, progress: Progress) -> Sequence[Op]:
            return [*super().plan(progress), Emit(progress.num_finished, behind=range(20, 22))]

    with pytest.raises(PlanError, match=r"behind latents \[20, 21\], which are not held"):
        toy_engine(planner=Behind()).create_world("a").step()
