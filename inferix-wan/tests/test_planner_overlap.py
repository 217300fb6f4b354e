"""Rollouts that overlap as CausVid's own do, inside one world."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.catalog import Catalog
from inferix_core.configuration import resolve
from inferix_core.events import Block
from inferix_core.plan import Emit, Op, Progress, Restart
from inferix_core.runtime.engine import Engine
from inferix_core.testing.suites import PlannerSuite
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyAutoencoder
from inferix_wan.config import FewStepSolverConfig
from inferix_wan.planners.config import CausVidOverlapPlannerConfig
from inferix_wan.planners.overlap import CausVidOverlapPlanner
from inferix_wan.solvers.few_step import FewStepSolver
from pydantic import ValidationError
from torch import Tensor


def planner(**settings: object) -> CausVidOverlapPlanner:
    return CausVidOverlapPlanner(CausVidOverlapPlannerConfig.model_validate(settings))


class TestOverlap(PlannerSuite):
    num_blocks = 16
    unplannable = (Progress(0, num_prefix_latents=2),)

    def planner(self) -> CausVidOverlapPlanner:
        return planner()


class TestOverlapOfShortRollouts(TestOverlap):
    """Every block after the first rollout both begins one and ends one."""

    def planner(self) -> CausVidOverlapPlanner:
        return planner(num_rollout_blocks=2)


class Recording(ToyAutoencoder):
    def __init__(self) -> None:
        self.decoded: list[tuple[Tensor, Any, Tensor]] = []
        self.encoded: list[Tensor] = []

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        frames, new_state = super().decode(latents, state)
        self.decoded.append((latents, state, frames))
        return frames, new_state

    def encode(self, frames: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.encoded.append(frames)
        return super().encode(frames, state)


def overlapping_engine(decoder: ToyAutoencoder | None = None, **settings: Any) -> Engine:
    """Blocks of two latents, rollouts of three blocks: five frames overlap."""
    return toy_engine(
        planner=planner(num_block_latents=2, num_rollout_blocks=3),
        solver=FewStepSolver(FewStepSolverConfig()),
        decoder=decoder or ToyAutoencoder(),
        **settings,
    )


def stepped(world: Any, count: int) -> list[Block]:
    return [world.step() for _ in range(count)]


def same(one: Sequence[Block], other: Sequence[Block]) -> bool:
    return all(torch.equal(first.frames, second.frames) for first, second in zip(one, other, strict=True))


def emits(one: CausVidOverlapPlanner, progress: Progress) -> list[Op]:
    return [op for op in one.plan(progress) if isinstance(op, Restart | Emit)]


def test_the_last_block_of_a_rollout_leaves_out_the_overlap_and_the_next_begins_with_it() -> None:
    one = planner()
    assert emits(one, Progress(6)) == [Emit(6, frames=slice(None, -9), anchor=-9)]
    restart, emit = emits(one, Progress(7))
    assert isinstance(restart, Restart)
    assert restart.from_anchor
    assert emit == Emit(7, behind=range(18, 21))
    assert emits(one, Progress(5)) == emits(one, Progress(8)) == []


def test_the_last_block_of_a_world_is_shown_whole() -> None:
    assert emits(planner(), Progress(6, horizon=7)) == []
    assert emits(planner(), Progress(6, horizon=8)) != []


def test_nothing_is_shown_twice_and_nothing_is_left_out() -> None:
    assert [len(block.frames) for block in stepped(overlapping_engine().create_world("a"), 8)] == [
        *(5, 8, 3),
        *(5 + 8, 3),
        *(5 + 8, 3),
        5 + 8,
    ]


def test_a_rollout_begins_with_the_encoding_of_the_overlaps_first_frame() -> None:
    decoder = Recording()
    world = overlapping_engine(decoder).create_world("a", seed=3)
    stepped(world, 4)
    _, _, last_frames = decoder.decoded[2]
    latents, state, _ = decoder.decoded[3]
    (anchor,) = decoder.encoded
    assert torch.equal(anchor, last_frames[3:4])
    assert state is None
    assert torch.equal(latents[0], ToyAutoencoder().encode(anchor, None)[0][0])
    assert torch.equal(latents[1], decoder.decoded[2][0][1])
    assert torch.equal(torch.stack([world.state.committed[latent] for latent in (4, 5, 6, 7)]), latents)


def test_a_world_that_is_forked_rewound_or_saved_between_rollouts_goes_on_the_same(tmp_path: Path) -> None:
    engine = overlapping_engine()
    expected = stepped(engine.create_world("a", seed=3), 6)
    world = engine.create_world("a", seed=3)
    stepped(world, 3)
    (twin,) = world.fork()
    assert same(stepped(twin, 3), expected[3:])
    world.save(tmp_path / "between.world")
    assert same(stepped(engine.load_world(tmp_path / "between.world"), 3), expected[3:])
    rewinding = Engine(engine.parts, ToyAutoencoder(), num_rewind_blocks=3).create_world("a", seed=3)
    stepped(rewinding, 5)
    rewinding.rewind(3)
    assert same(stepped(rewinding, 3), expected[3:])


@pytest.mark.parametrize("ahead", [False, True])
def test_a_run_gives_the_frames_of_single_steps(ahead: bool) -> None:
    engine = overlapping_engine()
    expected = torch.cat([block.frames for block in stepped(engine.create_world("a", seed=3), 7)])
    running = Engine(engine.parts, ToyAutoencoder(), overlap_decode=ahead)
    blocks = list(running.create_world("a", seed=3).run(num_frames=len(expected)))
    assert [block.index for block in blocks] == list(range(7))
    assert torch.equal(torch.cat([block.frames for block in blocks]), expected)
    running.close()


def test_worlds_share_their_passes_across_a_restart() -> None:
    engine = overlapping_engine()
    worlds = [engine.create_world("a", seed=seed) for seed in (3, 4)]
    together = [engine.step(worlds) for _ in range(5)]
    for place, seed in enumerate((3, 4)):
        alone = stepped(engine.create_world("a", seed=seed), 5)
        for blocks, block in zip(together, alone, strict=True):
            assert (blocks[place].frames.int() - block.frames.int()).abs().max() <= 1


def test_a_prefix_may_reach_over_several_rollouts() -> None:
    engine = overlapping_engine()
    source = engine.create_world("a", seed=3)
    stepped(source, 3)
    prefix = torch.stack([source.state.committed[latent] for latent in range(6)])
    world = engine.create_world("a", prefix=torch.cat([prefix, prefix[:2]]), seed=1)
    assert [len(block.frames) for block in stepped(world, 5)] == [5, 8, 3, 13, 3]


def test_an_overlap_is_one_block() -> None:
    with pytest.raises(ValidationError, match="num_overlap_blocks"):
        planner(num_overlap_blocks=0)


def test_the_preset_of_causvid_chooses_it() -> None:
    settings = {"use": "causvid", "preset": "overlap", "size": "tiny-random", "weights": "random", "height": 32}
    raw = {
        "model": {**settings, "width": 32},
        "decoder": {"weights": "random", "base_dim": 4, "num_res_blocks": 1},
        "kv": {"policy": {"use": "full"}},
    }
    engine = Engine.build(resolve(raw, Catalog.discover()), Catalog.discover())
    frames = [len(block.frames) for block in stepped(engine.create_world("a ball", seed=1), 8)]
    assert frames == [9, 12, 12, 12, 12, 12, 3, 9 + 12]
