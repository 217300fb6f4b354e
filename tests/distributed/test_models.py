"""Models, stores, policies and codecs of other packages on several ranks, against one rank."""

from pathlib import Path

import pytest
import torch
from inferix_core import Engine, Signal
from inferix_core.worldfile import describe
from ranked_engines import TINY, alone, assert_close, driven, first_block, run
from safetensors import safe_open
from torch import Tensor

RING, HYBRID, ULYSSES = ("parallel.use=ring",), ("parallel.use=hybrid",), ("parallel.use=ulysses",)
TINYWORLD = ("model.use=tinyworld",)
SELECTIVE = "kv.policy={use='selective',num_recent_latents=3,num_selected_latents=3}"


def grown(engine: Engine) -> Tensor:
    """Clean latents of a world that was told things and whose window is full."""
    world = engine.create_world("a blue box rolls", seed=5)
    for step in range(4):
        world.step(Signal(prompt="a red ball at night") if step == 1 else None)
    return torch.stack(list(world.state.committed.values()))


def pages_of(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name.startswith("pages.")}  # noqa: SIM118


@pytest.mark.parametrize(
    ("num_ranks", "strategy"),
    [(3, ULYSSES), pytest.param(2, RING, marks=pytest.mark.long), pytest.param(4, HYBRID, marks=pytest.mark.long)],
)
def test_tinyworld_begins_as_on_one_rank(num_ranks: int, strategy: tuple[str, ...]) -> None:
    assert_close(driven(num_ranks, first_block, *TINYWORLD, *strategy), alone(first_block, *TINYWORLD))


@pytest.mark.parametrize(
    "model", ["self-forcing", "self-forcing-diffusion", pytest.param("causvid", marks=pytest.mark.long), "wan-t2v"]
)
def test_the_models_of_the_wan_family_begin_as_on_one_rank(model: str) -> None:
    settings = (f"model.use={model}", "model.preset=tiny-random")
    assert_close(driven(2, clip, *settings, *HYBRID), alone(clip, *settings))


def clip(engine: Engine) -> Tensor:
    """What a new world has made after its first step, if it commits nothing."""
    world = engine.create_world("a red ball bounces", seed=5)
    frames = world.step().frames.float() / 255
    committed = list(world.state.committed.values())
    return torch.stack(committed) if committed else frames


@pytest.mark.parametrize("guidance", ["three-way", "distilled"])
@pytest.mark.parametrize(("num_ranks", "strategy"), [(2, "ring"), (4, "hybrid"), (3, "pipeline")])
def test_blocks_in_flight_move_as_on_one_rank(num_ranks: int, strategy: str, guidance: str) -> None:
    settings = ("model.use=magi", "model.preset=tiny-random", f"planner.guidance={guidance}", "planner.num_steps=4")
    settings += (f"model.distilled={str(guidance == 'distilled').lower()}",)

    def told_on_the_way(engine: Engine) -> Tensor:
        world = engine.create_world("a red ball bounces", seed=5, num_blocks=3)
        world.step()
        world.step(Signal(prompt="夜 🎈"))
        return torch.stack(list(world.state.committed.values()))

    assert_close(
        driven(num_ranks, told_on_the_way, *settings, f"parallel.use={strategy}"), alone(told_on_the_way, *settings)
    )


def test_one_rank_under_a_strategy_makes_the_bits_of_none() -> None:
    expected = alone(first_block, *TINY)
    for strategy in (RING, HYBRID, ULYSSES):
        assert torch.equal(alone(first_block, *TINY, *strategy), expected)


@pytest.mark.parametrize(
    "settings",
    [
        ("kv.store.use=paged", "kv.policy={use='sink-window',num_sink_latents=1,num_window_latents=6}"),
        ("kv.store.use=ring", "kv.policy={use='window',num_window_latents=6}", "kv.positions=window-relative"),
        pytest.param(("kv.store={use='offload',num_device_latents=3}",), marks=pytest.mark.long),
        (SELECTIVE,),
    ],
    ids=["paged", "ring-window-relative", "offload", "selective"],
)
def test_stores_and_policies_hold_what_they_hold_on_one_rank(settings: tuple[str, ...]) -> None:
    assert_close(driven(2, grown, *TINY, *RING, *settings), alone(grown, *TINY, *settings), tolerance=2e-3)


def test_a_lossy_codec_keeps_each_rank_s_part_within_its_error() -> None:
    settings = (*TINY, "kv.codec={use='int8',num_exact_recent_latents=0}")
    assert_close(driven(2, grown, *settings, *RING), alone(grown, *settings), tolerance=0.2)


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_the_file_of_several_ranks_is_that_of_one(num_ranks: int, tmp_path: Path) -> None:
    one, two = tmp_path / "one.world", tmp_path / "two.world"

    def save(path: Path, engine: Engine) -> None:
        world = engine.create_world("a blue box rolls", seed=5)
        world.step()
        world.step()
        world.save(path)

    alone(lambda engine: save(one, engine), *TINY)
    run(2, lambda engine: save(two, engine), *TINY, *RING)
    pages, expected = pages_of(two), pages_of(one)
    assert pages.keys() == expected.keys()
    for name, values in pages.items():
        assert_close(values, expected[name], tolerance=1e-3)
    assert describe(two).num_page_bytes == describe(one).num_page_bytes
    loaded = run(num_ranks, lambda engine: engine.load_world(two).step().frames, *TINY, *RING)
    going_on = alone(lambda engine: engine.load_world(one).step().frames, *TINY)
    assert (loaded.int() - going_on.int()).abs().max() <= 2


def test_encoded_pages_go_to_a_file_and_to_another_number_of_ranks(tmp_path: Path) -> None:
    path, settings = tmp_path / "coded.world", (*TINY, "kv.codec={use='int8',num_exact_recent_latents=0}")

    def save(engine: Engine) -> Tensor:
        world = engine.create_world("a blue box rolls", seed=5)
        for _ in range(3):
            world.step()
        world.save(path)
        return world.step().frames

    def go_on(engine: Engine) -> Tensor:
        return engine.load_world(path).step().frames

    frames = driven(2, save, *settings, *RING)
    assert describe(path).codec == "inferix-kvstore:int8"
    for num_ranks in (1, 3):
        loaded = run(num_ranks, go_on, *settings, *RING)
        assert (loaded.float() - frames.float()).abs().mean() < 2.0
