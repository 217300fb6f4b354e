"""Scores for policies that choose by content."""

from collections.abc import Mapping, Sequence

import pytest
import torch
from inferix_core.plan import Entry
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.relevance import Means, MeansCollector
from inferix_core.runtime.world import World
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyPlanner, ToyStaggeredPlanner


class Recorder:
    """Sees everything, and remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[dict[int, float]] = []
        self.seen: list[tuple[int, dict[int, float]]] = []

    def retained(self, held: Sequence[int], upcoming: range, *, relevance: Mapping[int, float]) -> Sequence[int]:
        self.begun.append(dict(relevance))
        return held

    def visible(self, entry: Entry, available: Sequence[int], *, relevance: Mapping[int, float]) -> Sequence[int]:
        self.seen.append((entry.block, dict(relevance)))
        return available

    def capacity(self, num_block_latents: int) -> int | None:
        return None


def engine(policy: Recorder, *, staggered: bool = False) -> Engine:
    planner = ToyStaggeredPlanner() if staggered else ToyPlanner()
    return toy_engine(policy=policy, planner=planner, needs_relevance=True)


def run(world: World, num_blocks: int) -> torch.Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


@pytest.mark.parametrize("staggered", [False, True])
def test_every_committed_latent_has_a_score_that_is_the_same_in_all_passes_of_a_block(staggered: bool) -> None:
    policy = Recorder()
    world = engine(policy, staggered=staggered).create_world("a")
    run(world, 5)
    assert policy.begun[0] == {}
    latents = [set(scores) for scores in policy.begun]
    assert latents[-1] == set(range(len(latents[-1])))
    assert len(latents[-1]) >= 4
    by_block: dict[int, list[dict[int, float]]] = {}
    for block, scores in policy.seen:
        by_block.setdefault(block, []).append(scores)
    assert all(scores == of_block[0] for of_block in by_block.values() for scores in of_block)
    assert len(set(policy.begun[-1].values())) > 1


def test_scores_are_products_of_the_means_of_queries_and_keys() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(12, 4, 6, generator=generator), torch.randn(12, 2, 6, generator=generator)
    collector = MeansCollector([(range(5, 7), slice(4, 12))])
    for layer in range(3):
        collector.add(q + layer, k - layer)
    scores = collector.added_to(Means()).scores()
    expected = {}
    for latent, tokens in ((5, slice(4, 8)), (6, slice(8, 12))):
        products = []
        for layer in range(3):
            query = (q + layer)[4:12].mean(0).reshape(2, 2, 6).mean(1)  # query heads of one key head together
            products.append(((k - layer)[tokens].mean(0) * query).sum(-1).mean() * 6**-0.5)
        expected[latent] = float(torch.stack(products).mean())
    assert scores == pytest.approx(expected, rel=1e-5)


def test_means_of_latents_that_are_gone_are_let_go() -> None:
    class ForgetsTheFirst(Recorder):
        def retained(self, held: Sequence[int], upcoming: range, *, relevance: Mapping[int, float]) -> Sequence[int]:
            return [latent for latent in super().retained(held, upcoming, relevance=relevance) if latent > 1]

    policy = ForgetsTheFirst()
    world = engine(policy).create_world("a")
    run(world, 4)
    assert set(world.state.means["main"].keys) == set(range(2, 8))
    assert set(policy.begun[-1]) == set(range(2, 6))


def test_forks_and_failed_steps_keep_the_scores() -> None:
    policy = Recorder()
    of_policy = engine(policy)
    world = of_policy.create_world("a")
    run(world, 3)
    (child,) = world.fork()
    policy.begun.clear()
    of_policy.step([world]), of_policy.step([child])
    assert policy.begun[0] == policy.begun[1] != {}


def test_without_the_need_no_means_are_made() -> None:
    world = toy_engine().create_world("a")
    run(world, 2)
    assert world.state.means == {}
