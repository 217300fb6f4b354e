"""Guided planners pass a block under the prompt and under the negative one, causal or as a whole clip."""

from collections.abc import Callable

import pytest
import torch
from inferix_core.contracts.model import Conditions
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import PlanError, UnsupportedError
from inferix_core.plan import Pass, Progress
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.suites import PlannerSuite
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.text.random_encoder import RandomTextEncoder
from inferix_wan.geometry import wan_geometry
from inferix_wan.initialisation import initialise
from inferix_wan.model import WanModel
from inferix_wan.planners.clip import FewStepClipPlanner, WholeClipPlanner
from inferix_wan.planners.config import FewStepClipPlannerConfig, GuidedBlocksPlannerConfig, WholeClipPlannerConfig
from inferix_wan.planners.guided_blocks import GuidedBlocksPlanner
from inferix_wan.sizes import TRANSFORMERS
from inferix_wan.solvers.config import UniPCSolverConfig
from inferix_wan.solvers.unipc import UniPCSolver
from inferix_wan.transformer.conditions import NEGATIVE_TEXT
from inferix_wan.transformer.transformer import WanTransformer

CPU = torch.device("cpu")


def blocks(**settings: object) -> GuidedBlocksPlanner:
    return GuidedBlocksPlanner(GuidedBlocksPlannerConfig.model_validate({"num_steps": 4, **settings}))


def clip(**settings: object) -> WholeClipPlanner:
    return WholeClipPlanner(WholeClipPlannerConfig.model_validate({"num_steps": 4, "num_latents": 3, **settings}))


def few_step_clip() -> FewStepClipPlanner:
    return FewStepClipPlanner(FewStepClipPlannerConfig(num_latents=3))


class TestGuidedBlocks(PlannerSuite):
    unplannable = (Progress(0, num_prefix_latents=2),)

    def planner(self) -> Planner:
        return blocks()


class TestUnguidedBlocks(TestGuidedBlocks):
    def planner(self) -> Planner:
        return blocks(guidance_scale=1.0, spacing="dpm-plus-plus")


class TestWholeClip(PlannerSuite):
    num_blocks = max_blocks = 1
    unplannable = (Progress(1), Progress(0, horizon=2), Progress(0, num_prefix_latents=3))

    def planner(self) -> Planner:
        return clip()


class TestFewStepClip(TestWholeClip):
    def planner(self) -> Planner:
        return few_step_clip()


def passes(planner: Planner, progress: Progress) -> list[Pass]:
    return [op for op in planner.plan(progress) if isinstance(op, Pass)]


def test_a_step_weighs_the_prompt_against_the_negative_prompt_and_updates_once() -> None:
    prompted, negative = passes(blocks(guidance_scale=3.0), Progress(1))[:2]
    assert [(one.entries[0].weight, one.entries[0].branch, one.cache) for one in (prompted, negative)] == [
        (3.0, "signal", "main"),
        (-2.0, "null", "null"),
    ]
    assert (prompted.updates, len(negative.updates)) == ((), 1)


def test_both_caches_commit_a_finished_block_at_the_clean_time() -> None:
    *_, first, last = passes(blocks(clean_time=20.0), Progress(1))
    assert (first.cache, first.commits, first.finishes) == ("main", (1,), ())
    assert (last.cache, last.commits, last.finishes) == ("null", (1,), (1,))
    assert {one.entries[0].level.time for one in (first, last)} == {20.0}


def test_a_prefix_is_pinned_and_committed_at_time_0_to_both_caches() -> None:
    first, last = passes(blocks(clean_time=20.0), Progress(0, num_prefix_latents=3))
    assert [one.entries[0].num_pinned_latents for one in (first, last)] == [3, 3]
    assert [(one.cache, one.commits, one.entries[0].level.time) for one in (first, last)] == [
        ("main", (0,), 0.0),
        ("null", (0,), 0.0),
    ]


@pytest.mark.parametrize("make", [blocks, clip])
def test_a_scale_of_1_leaves_the_negative_passes_out(make: Callable[..., Planner]) -> None:
    assert {one.cache for one in passes(make(guidance_scale=1.0), Progress(0))} == {"main"}


@pytest.mark.parametrize("planner", [clip(), few_step_clip()])
def test_a_clip_caches_nothing_and_a_second_one_is_refused_with_what_to_do(planner: Planner) -> None:
    made = passes(planner, Progress(0, horizon=1))
    assert not any(one.commits or one.entries[0].reads_cache for one in made)
    assert made[-1].finishes == (0,)
    with pytest.raises(PlanError, match=r"one clip of 3 latents at once, not \d blocks: set planner\.num_latents"):
        planner.plan(Progress(1))


class GuidedModel(WanModel):
    """A tiny model with a negative prompt of its own."""

    def __init__(self, negative: str | None) -> None:
        dimensions = TRANSFORMERS["tiny-random"]
        transformer = WanTransformer(dimensions).requires_grad_(False)
        initialise(transformer, seed=2)
        super().__init__(
            transformer,
            text_encoder=RandomTextEncoder(
                text_dim=dimensions.text_dim, text_len=dimensions.text_len, device=CPU, dtype=torch.float32
            ),
            geometry=wan_geometry(dimensions, height=32, width=32, fps=16.0),
        )
        self._negative = None if negative is None else self.encode_text(negative)

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        conditions = super().encode(signal, previous)
        return conditions if self._negative is None else {**conditions, NEGATIVE_TEXT: self._negative}


def world(planner: Planner, *, negative: str | None, prefix: torch.Tensor | None = None) -> World:
    engine = toy_engine(model=GuidedModel(negative), planner=planner, solver=UniPCSolver(UniPCSolverConfig()))
    return engine.create_world("a red ball", seed=1, prefix=prefix)


@pytest.mark.parametrize("make", [blocks, clip])
def test_the_negative_prompt_counts_where_there_is_guidance_and_there_alone(make: Callable[..., Planner]) -> None:
    for scale, is_same in ((1.0, True), (4.0, False)):
        frames = [
            world(make(guidance_scale=scale), negative=negative).step().frames for negative in ("blurred", "a dog")
        ]
        assert torch.equal(*frames) is is_same


def test_a_prefix_reaches_both_caches_and_what_follows() -> None:
    frames = []
    for seed in (0, 1):
        prefix = torch.randn(3, 16, 4, 4, generator=torch.Generator().manual_seed(seed))
        made = world(blocks(), negative="blurred", prefix=prefix)
        assert made.step().latents == range(3)
        assert [made.state.caches[name].held for name in ("main", "null")] == [(0, 1, 2)] * 2
        assert torch.equal(torch.stack(list(made.state.committed.values())), prefix)
        frames.append(made.step().frames)
    assert not torch.equal(*frames)


def test_a_model_without_a_negative_prompt_says_so() -> None:
    with pytest.raises(UnsupportedError, match="lack 'negative_text'"):
        world(blocks(), negative=None).step()
