"""Saved worlds of the embedded model: other processes, other stores, and MAGI's blocks in flight."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from inferix_core import Engine, Signal, World, WorldFileError
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.worldfile import describe
from inferix_magi.config import MagiPlannerConfig, VelocityConfig
from inferix_magi.planner import MagiPlanner
from inferix_magi.solver import VelocitySolver
from inferix_tinyworld.shipped import NETWORK, weights_path
from torch import Tensor

ONE_THREAD = ("num_threads=1", "num_decoder_threads=1", "device=cpu")
GO_ON = """
import sys, torch
from inferix_core import Engine, Signal
path, frames, *overrides = sys.argv[1:]
world = Engine.load("tinyworld", overrides=overrides).load_world(path)
torch.save(torch.cat([world.step(Signal(prompt="at night")).frames, world.step().frames]), frames)
"""
PAGED = "kv.store={use='paged'}"
OTHER_STORES = (
    "kv.store={use='dense',slack_latents=0}",
    PAGED,
    "kv.store={use='ring'}",
    "kv.store={use='offload',num_device_latents=4}",
)


@cache
def engine(*overrides: str) -> Engine:
    return Engine.load("tinyworld", overrides=(*ONE_THREAD, *overrides))


def grown_world(engine: Engine) -> World:
    """A world whose window is full, that was told things."""
    world = engine.create_world("a blue box rolls at sunset", seed=5)
    world.step(Signal(action="left"))
    for _ in range(4):
        world.step()
    return world


def going_on(world: World) -> Tensor:
    return torch.cat([world.step(Signal(prompt="at night")).frames, world.step().frames])


def going_on_elsewhere(path: Path, *overrides: str) -> Tensor:
    frames = path.with_suffix(".frames")
    command = [sys.executable, "-c", GO_ON, str(path), str(frames), *ONE_THREAD, *overrides]
    environment = {**os.environ, "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    found: Tensor = torch.load(frames, weights_only=True)
    return found


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor]:
    """A file, and how the world goes on that was never saved."""
    path = tmp_path_factory.mktemp("worlds") / "a.world"
    world = grown_world(engine())
    world.save(path)
    return path, going_on(world)


def test_a_world_goes_on_in_another_process_as_if_it_had_not_been_saved(saved: tuple[Path, Tensor]) -> None:
    path, expected = saved
    assert torch.equal(going_on_elsewhere(path, PAGED), expected)


@pytest.mark.parametrize("store", OTHER_STORES)
def test_a_world_goes_on_in_another_store_as_if_it_had_not_been_saved(store: str, saved: tuple[Path, Tensor]) -> None:
    path, expected = saved
    with engine(store).load_world(path) as world:
        assert torch.equal(going_on(world), expected)


def test_a_world_is_not_taken_for_one_of_other_weights(saved: tuple[Path, Tensor], tmp_path: Path) -> None:
    path, _ = saved
    shipped = weights_path("embedded", embedded=NETWORK)
    copy = tmp_path / shipped.name
    copy.write_bytes(shipped.read_bytes())
    copy.with_suffix(".json").write_bytes(shipped.with_suffix(".json").read_bytes())
    with pytest.raises(WorldFileError, match=r"model\.config\.checkpoint is embedded in the file and fingerprint"):
        engine(f"model.checkpoint={copy}").load_world(path)


def test_the_file_says_what_the_world_is(saved: tuple[Path, Tensor]) -> None:
    path, _ = saved
    found = describe(path)
    assert (found.model, found.num_blocks) == ("inferix-tinyworld:tinyworld", 5)
    assert (found.prompt, found.signals[0].signal.prompt) == ("a blue box rolls at sunset",) * 2
    assert found.num_frames == 1 + 4 * (5 * 3 - 1)
    assert found.versions["inferix-tinyworld"]


@pytest.mark.parametrize("codec", ["int8", "fp8", "int4"])
def test_encoded_pages_come_back_bit_for_bit_and_decoded_ones_in_another_store(codec: str, tmp_path: Path) -> None:
    coded, path = engine(f"kv.codec.use={codec}"), tmp_path / "a.world"
    world = grown_world(coded)
    world.save(path)
    loaded = coded.load_world(path)
    plain = engine(PAGED).load_world(path)
    held = plain.state.caches["main"].held
    assert held == world.state.caches["main"].held
    for layer in (0, coded.parts.model.layout.num_layers - 1):
        seen = [one.state.caches["main"].segments(layer, [range(held[0], held[-1] + 1)]) for one in (world, plain)]
        for name in ("k", "v"):
            assert torch.equal(*[torch.cat([segment[name] for segment in segments], dim=1) for segments in seen])
    assert torch.equal(going_on(loaded), going_on(world))


def magi() -> Engine:
    planner = MagiPlanner(MagiPlannerConfig(num_steps=8, num_block_latents=2))
    return toy_engine(planner=planner, solver=VelocitySolver(VelocityConfig()))


@pytest.mark.parametrize("num_blocks", [0, 1, 3, 5])
def test_four_blocks_in_flight_go_on_where_they_were(num_blocks: int, tmp_path: Path) -> None:
    world = magi().create_world("a", seed=1, num_blocks=8)
    for _ in range(num_blocks):
        world.step()
    world.send(Signal(prompt="b"))
    world.save(tmp_path / "a.world")
    loaded = magi().load_world(tmp_path / "a.world")
    assert len(loaded.state.flying) == (0 if num_blocks == 0 else min(3, 8 - num_blocks))
    for _ in range(num_blocks, 8):
        assert torch.equal(loaded.step().frames, world.step().frames)
