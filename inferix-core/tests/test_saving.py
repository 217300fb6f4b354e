"""Worlds that go on from a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.contracts.model import Condition, Conditions
from inferix_core.defaults.dense import DenseCache
from inferix_core.errors import CapacityError, UnsupportedError
from inferix_core.plan import Entry
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.log import WorldLog
from inferix_core.runtime.noise import CounterNoise
from inferix_core.runtime.state import FlyingBlock, WorldState
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine, toy_store
from inferix_core.testing.toy_store import ToyCache, ToyStore
from inferix_core.testing.toys import ToyDecoder, ToyModel, ToyPlanner, ToySolver, ToyStaggeredPlanner
from torch import Tensor


class MostRelevant:
    """Keeps and shows the two latents that matter most."""

    def retained(self, held: Sequence[int], upcoming: range, *, relevance: Mapping[int, float]) -> Sequence[int]:
        return sorted(sorted(held, key=lambda latent: -relevance.get(latent, 0.0))[:2])

    def visible(self, entry: Entry, available: Sequence[int], *, relevance: Mapping[int, float]) -> Sequence[int]:
        stored = [latent for latent in available if latent < entry.latents.start]
        shown = sorted(stored, key=lambda latent: -relevance.get(latent, 0.0))[:2]
        return [latent for latent in available if latent in shown or latent >= entry.latents.start]

    def capacity(self, num_block_latents: int) -> int | None:
        return 2 + num_block_latents


class RememberingSolver(ToySolver):
    """Carries the last prediction and a count in every kind of container."""

    def update(self, latents: Tensor, prediction: Tensor, *, history: Any, **rest: Any) -> tuple[Tensor, Any]:
        if history is not None:
            ((last,), count, weight), nothing = history["last"], history["nothing"]
            assert (count, nothing) == (rest["level"].index, None)
            prediction = prediction + weight * last
        moved, _ = super().update(latents, prediction, history=None, **rest)
        return moved, {"last": [(prediction,), rest["target"].index, 0.1], "nothing": None}


class ChannelsLastDecoder(ToyDecoder):
    """Has a state whose axes do not lie as they are counted, and depends on how they lie."""

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        assert state is None or (state["kept"].stride()[0] == 1 and not state["kept"].is_contiguous())
        frames, new_state = super().decode(latents, None if state is None else state["kept"])
        return frames, {"kept": new_state.permute(1, 2, 0).contiguous().permute(2, 0, 1)}


def staggered() -> Engine:
    return toy_engine(planner=ToyStaggeredPlanner(), solver=RememberingSolver())


def with_toy_store() -> Engine:
    return toy_engine(store=ToyStore())


def with_relevance() -> Engine:
    return toy_engine(policy=MostRelevant(), needs_relevance=True, decoder=ChannelsLastDecoder())


def staggered_with_relevance() -> Engine:
    return toy_engine(policy=MostRelevant(), needs_relevance=True, planner=ToyStaggeredPlanner())


ENGINES = [toy_engine, staggered, with_toy_store, with_relevance, staggered_with_relevance]


@pytest.fixture(params=ENGINES, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[], Engine]:
    found: Callable[[], Engine] = request.param
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.world"


def frames(world: World, num_blocks: int) -> Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


def through_file(world: World, path: Path, engine: Engine) -> World:
    world.save(path)
    return engine.load_world(path)


@pytest.mark.parametrize("num_blocks", [0, 1, 2, 5])
def test_going_on_after_loading_is_as_never_having_been_saved(
    make: Callable[[], Engine], num_blocks: int, path: Path
) -> None:
    world = make().create_world("a", seed=2**64 - 1)
    if num_blocks:
        world.step(Signal(action="left"))
    while world.num_blocks < num_blocks:
        world.step()
    loaded = through_file(world, path, make())
    assert loaded.num_blocks == num_blocks
    assert torch.equal(frames(loaded, 4), frames(world, 4))
    assert loaded.log.records == world.log.records


def test_what_waits_and_what_comes_later_reach_the_same_blocks(make: Callable[[], Engine], path: Path) -> None:
    world = make().create_world("a", seed=1)
    frames(world, 2)
    world.send(Signal(action="left"))
    world.send(Signal(prompt="b", id="waiting"))
    loaded = through_file(world, path, make())
    blocks = [[one.step(), one.step(Signal(action="right")), one.step()] for one in (world, loaded)]
    assert all(torch.equal(one.frames, other.frames) for one, other in zip(*blocks, strict=True))
    assert [one.signal_ids for one in blocks[1]] == [one.signal_ids for one in blocks[0]]
    assert any("waiting" in one.signal_ids for one in blocks[1])


def test_a_child_with_a_seed_of_its_own_keeps_it(make: Callable[[], Engine], path: Path) -> None:
    world = make().create_world("a", seed=1)
    frames(world, 2)
    (child,) = world.fork(seeds=[9])
    loaded = through_file(child, path, make())
    assert torch.equal(frames(loaded, 3), frames(child, 3))


def test_frames_that_a_run_left_over_come_with_the_world(path: Path) -> None:
    engine = toy_engine()
    world = engine.create_world("a", seed=1)
    list(world.run(num_frames=7))
    loaded = through_file(world, path, toy_engine())
    assert torch.equal(loaded.step().frames, world.step().frames)
    assert loaded.surplus is None


def test_a_prefix_and_a_horizon_come_with_the_world(path: Path) -> None:
    engine = toy_engine(planner=ToyPlanner(num_block_latents=1))
    prefix = torch.randn(2, *engine.geometry.latent_shape, generator=torch.Generator().manual_seed(0))
    world = engine.create_world("a", seed=1, prefix=prefix, num_blocks=4)
    world.step()
    loaded = through_file(world, path, engine)
    assert torch.equal(frames(loaded, 3), frames(world, 3))
    with pytest.raises(UnsupportedError, match="made all 4 blocks"):
        loaded.step()


def test_latents_of_pages_can_be_let_go_one_by_one(path: Path) -> None:
    world = with_relevance().create_world("a", seed=1)
    frames(world, 3)
    state = through_file(world, path, with_relevance()).state
    for row in (*state.committed.values(), *state.means["main"].keys.values()):
        assert row.untyped_storage().nbytes() == row.nbytes


def test_a_world_goes_on_in_another_store(path: Path) -> None:
    world = toy_engine().create_world("a", seed=1)
    frames(world, 3)
    loaded = through_file(world, path, with_toy_store())
    assert torch.equal(frames(loaded, 3), frames(world, 3))


def test_a_world_goes_on_under_another_policy_with_the_pages_that_were_kept(path: Path) -> None:
    world = toy_engine().create_world("a", seed=1)
    frames(world, 3)
    loaded = through_file(world, path, toy_engine(policy=MostRelevant(), needs_relevance=True))
    frames(loaded, 2)
    assert len(loaded.state.caches["main"].held) == 4


def test_a_world_can_be_saved_loaded_and_saved_again_with_the_same_bytes(path: Path, tmp_path: Path) -> None:
    world = staggered().create_world("a", seed=1)
    frames(world, 3)
    again = tmp_path / "again.world"
    through_file(world, path, staggered()).save(again)
    assert again.read_bytes() == path.read_bytes()


def test_a_loaded_world_can_be_rewound_to_where_it_was_saved(path: Path) -> None:
    engine = Engine(toy_engine().parts, ToyDecoder(), num_rewind_blocks=2)
    world = engine.create_world("a", seed=1)
    frames(world, 3)
    loaded = through_file(world, path, engine)
    rest = frames(loaded, 2)
    loaded.rewind(3)
    assert torch.equal(frames(loaded, 2), rest)
    loaded.rewind(3)
    with pytest.raises(UnsupportedError, match="goes back to block 3"):
        loaded.rewind(2)


def test_saving_changes_nothing_in_the_world(make: Callable[[], Engine], path: Path) -> None:
    world, alone = make().create_world("a", seed=1), make().create_world("a", seed=1)
    for _ in range(4):
        world.save(path)
        assert torch.equal(world.step().frames, alone.step().frames)


class Remembering(ToyModel):
    """Makes what it is told of everything that it was told before."""

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        conditions = dict(super().encode(signal, previous))
        before = "" if previous is None else previous["text"].memo
        if signal.prompt is not None:
            told = f"{before} {signal.prompt}"
            tokens = super().encode(Signal(prompt=told), None)["text"].tokens
            conditions["text"] = Condition(tokens, memo=told)
        return conditions


def test_what_a_model_remembers_of_a_signal_comes_back(path: Path) -> None:
    world = toy_engine(model=Remembering()).create_world("a", seed=1)
    world.step(Signal(prompt="ünd b"))
    loaded = through_file(world, path, toy_engine(model=Remembering()))
    assert torch.equal(loaded.step(Signal(prompt="c")).frames, world.step(Signal(prompt="c")).frames)
    assert loaded.state.conditions is not None
    assert loaded.state.conditions["text"].memo == " a ünd b c"


def test_conditions_that_are_shared_stay_shared(path: Path) -> None:
    world = staggered().create_world("a", seed=1)
    frames(world, 2)
    state = through_file(world, path, staggered()).state
    texts = [one.conditions["text"] for one in (*state.flying.values(), *state.clean.values())]
    assert len(texts) == 2
    assert state.conditions is not None
    assert all(text is state.conditions["text"] for text in texts)


@pytest.mark.parametrize("with_dense", [True, False])
def test_a_world_without_room_leaves_the_engine_as_it_was(with_dense: bool, path: Path) -> None:
    model = ToyModel()
    store = toy_store(model, max_latents=4) if with_dense else ToyStore(max_latents=4)
    engine = toy_engine(model=model, store=store)
    kept = engine.create_world("a", seed=1)
    frames(kept, 1)
    before = engine.num_kv_bytes
    world = toy_engine().create_world("a", seed=1)
    frames(world, 3)
    world.save(path)
    with pytest.raises(CapacityError):
        engine.load_world(path)
    assert engine.num_kv_bytes == before
    kept.step()


def test_a_world_without_room_for_its_journal_gives_all_its_pages_back(path: Path) -> None:
    class CannotFork(ToyCache):
        def fork(self) -> ToyCache:
            raise CapacityError("No room for a boundary.")

    class Store(ToyStore):
        cache_type = CannotFork

        def create(self) -> ToyCache:
            made.append(super().create())
            return made[-1]

    made: list[ToyCache] = []
    world = toy_engine().create_world("a", seed=1)
    frames(world, 2)
    world.save(path)
    engine = Engine(toy_engine(store=Store()).parts, ToyDecoder(), num_rewind_blocks=1)
    with pytest.raises(CapacityError, match="boundary"):
        engine.load_world(path)
    assert len(made) == 1
    assert engine.num_kv_bytes == 0


def rich_world() -> World:
    """A world in which everything that a state can hold is there."""
    engine = toy_engine(
        policy=MostRelevant(), needs_relevance=True, planner=ToyStaggeredPlanner(), solver=RememberingSolver()
    )
    world = engine.create_world("a", seed=3, num_blocks=9)
    frames(world, 2)
    world.send(Signal(prompt="b", action="left", id="one"))
    state = world.state
    state.prefix = torch.ones(1, *engine.geometry.latent_shape)
    state.script = {5: (Signal(action="right"),), 7: (Signal(prompt="c"), Signal(prompt="d"))}
    assert state.conditions is not None
    state.beginning = {"text": state.conditions["text"], "picture": Condition(torch.ones(1, 2, 4), "a picture")}
    for blocks in (state.flying, state.clean):
        for index, block in blocks.items():
            blocks[index] = replace(block, gathered=block.latents * 2, signal_ids=("x", "y"))
    return world


def pages(cache: Any, layer: int) -> dict[str, Tensor]:
    segments = cache.segments(layer, [range(latent, latent + 1) for latent in cache.held])
    return {name: torch.cat([segment[name] for segment in segments], dim=1) for name in ("k", "v")}


def same(one: Any, other: Any, where: str) -> None:
    """Checks that two values are equal in all that they hold."""
    if isinstance(one, Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), where
        assert torch.equal(one, other), where
    elif isinstance(one, ToyCache | DenseCache):
        assert (one.held, one.reserved) == (other.held, other.reserved), where
        for layer in range(2):
            same(*[pages(cache, layer) for cache in (one, other)], f"{where} of layer {layer}")
    elif isinstance(one, Mapping):
        assert list(one) == list(other), where
        for key in one:
            same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert (type(one), len(one)) == (type(other), len(other)), where
        for index, parts in enumerate(zip(one, other, strict=True)):
            same(*parts, f"{where}.{index}")
    elif isinstance(one, CounterNoise):
        assert one.seed == other.seed
    elif isinstance(one, WorldLog):
        assert one.records == other.records
    elif is_dataclass(one) and not isinstance(one, Signal):
        for field in fields(one):
            if field.name not in ("id", "projected"):
                same(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    else:
        assert one == other, where


def test_all_that_a_world_is_comes_back(path: Path) -> None:
    world = rich_world()
    same(world.state, through_file(world, path, world.engine).state, "state")


def test_the_world_of_that_test_holds_something_in_every_field() -> None:
    state = rich_world().state
    plain = WorldState(id="", noise=state.noise, prefix=None, horizon=None)
    bare = [field.name for field in fields(WorldState) if field.name != "noise" and is_bare(state, plain, field.name)]
    assert bare == []
    (flying,), (clean,) = state.flying.values(), state.clean.values()
    block = FlyingBlock(flying.latents, {}, ())
    for name in [field.name for field in fields(FlyingBlock) if field.name != "latents"]:
        assert not is_bare(flying, block, name), name
    assert not is_bare(clean, block, "relevance")


def is_bare(one: object, plain: object, name: str) -> bool:
    """Whether a field is what it is in a new object."""
    value, default = getattr(one, name), getattr(plain, name)
    if isinstance(value, WorldLog):
        value, default = value.records, default.records
    return value is None or (not isinstance(value, Tensor) and bool(value == default))
