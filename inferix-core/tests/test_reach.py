"""A run that a world cannot fill is refused before anything is computed."""

from collections.abc import Sequence

import pytest
from inferix_core.errors import PlanError, UnsupportedError
from inferix_core.plan import Emit, Op, Progress
from inferix_core.runtime.reach import num_frames_of
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyModel, ToyPlanner


class Untouched(ToyModel):
    num_passes = 0

    def embed(self, pass_input):  # type: ignore[no-untyped-def]
        self.num_passes += 1
        return super().embed(pass_input)


class OneClip(ToyPlanner):
    def plan(self, progress: Progress) -> Sequence[Op]:
        if progress.num_finished > 0 or (progress.horizon or 1) > 1:
            if progress.num_finished == progress.horizon:
                return ()
            raise PlanError("This planner makes one clip: set clip_length.")
        return super().plan(progress)


def test_a_clip_that_is_too_short_is_refused_with_the_planners_advice() -> None:
    model = Untouched()
    world = toy_engine(model=model, planner=OneClip()).create_world("a")
    with pytest.raises(UnsupportedError, match=r"6 frames .*3 latents.* ends after 5 more\. .*set clip_length"):
        world.run(num_frames=6)
    assert model.num_passes == 0
    assert sum(len(block.frames) for block in world.run(num_frames=5)) == 5


def test_a_world_that_has_made_its_clip_gives_the_planners_advice() -> None:
    world = toy_engine(planner=OneClip()).create_world("a", num_blocks=1)
    world.step()
    with pytest.raises(UnsupportedError, match=r"all 1 blocks of its plan\. .*set clip_length"):
        world.step()


def test_a_world_with_a_horizon_is_told_to_have_a_larger_one() -> None:
    model = Untouched()
    world = toy_engine(model=model).create_world("a", num_blocks=2)
    with pytest.raises(UnsupportedError, match=r"ends after 13 more\. Create it with a larger num_blocks"):
        world.run(num_frames=14)
    assert model.num_passes == 0
    assert sum(len(block.frames) for block in world.run(num_frames=11)) == 11
    assert sum(len(block.frames) for block in world.run(num_frames=2)) == 2  # what the last run left over
    with pytest.raises(UnsupportedError, match="ends after 0 more"):
        world.run(num_frames=1)


def test_a_world_without_an_end_runs_as_long_as_anybody_likes() -> None:
    run = toy_engine().create_world("a").run(num_frames=10**9)
    assert len(next(run).frames) == 5


@pytest.mark.parametrize(
    ("emit", "num_frames"),
    [
        (Emit(1), 8),
        (Emit(1, frames=slice(None, -5)), 3),
        (Emit(1, latents=range(2, 3)), 4),
        (Emit(1, behind=range(2)), 13),
        (Emit(1, frames=slice(None, -5), behind=range(2)), 8),
    ],
)
def test_what_a_plan_emits_is_counted(emit: Emit, num_frames: int) -> None:
    plan = [*ToyPlanner().plan(Progress(1)), emit]
    assert num_frames_of(plan, 1, ToyModel().geometry) == num_frames
