"""World files are complete or not there."""

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.errors import OutputError, WriteError
from inferix_core.runtime.world import World
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyCache, ToyStore
from inferix_core.worldfile import describe
from inferix_core.worldfile.whole_file import replacing

NUM_KILLS = 12


def heavy_world(*, num_mebibytes: int) -> World:
    world = toy_engine().create_world("a", seed=1)
    world.step()
    world.state.decoder_state = torch.randn(num_mebibytes, 2**18)
    return world


def save_for_ever(world: World, path: Path, began: Any) -> None:
    while True:
        world.state.decoder_state = world.state.decoder_state + 1
        began.set()
        world.save(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_file(tmp_path: Path) -> None:
    path, world, generator = tmp_path / "a.world", heavy_world(num_mebibytes=16), random.Random(0)
    world.save(path)
    context = multiprocessing.get_context("fork")
    num_cut_short = 0
    for _ in range(NUM_KILLS):
        began = context.Event()
        child = context.Process(target=save_for_ever, args=(world, path, began))
        child.start()
        began.wait()
        time.sleep(generator.uniform(0, 0.1))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        rounds = toy_engine().load_world(path).state.decoder_state - world.state.decoder_state
        assert torch.allclose(rounds, rounds.round(), atol=1e-3), "one of those that were saved, and whole"
        num_cut_short += len(list(tmp_path.iterdir())) > 1
        world.save(path)
        assert torch.equal(toy_engine().load_world(path).state.decoder_state, world.state.decoder_state)
        assert list(tmp_path.iterdir()) == [path], "what was left by the one that was killed is gone"
    assert num_cut_short > 2, "some of them were killed in the middle"


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """What a full disk does, as far as one process is concerned."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.world"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_known_by_the_whole_name(tmp_path: Path) -> None:
    others = [".a.world.x.0123abcd.part", ".b.world.0123abcd.part", ".a.world.part", "a.world.0123abcd.part"]
    for name in (".a.world.0123abcd.part", *others):
        (tmp_path / name).write_bytes(b"half")
    toy_engine().create_world("a").save(tmp_path / "a.world")
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*others, "a.world"])


def test_a_disk_that_is_full_costs_nothing_that_was_there(tmp_path: Path) -> None:
    path, world = tmp_path / "a.world", heavy_world(num_mebibytes=1)
    world.save(path)
    before = path.read_bytes()
    with files_of_at_most(2**19), pytest.raises(WriteError, match=r"a\.world' failed: .*is as it was"):
        world.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_that_fails_while_it_is_read_leaves_nothing(tmp_path: Path) -> None:
    class Interrupted(ToyCache):
        def segments(self, *arguments: Any) -> Any:
            if not self.store.max_latents:
                return super().segments(*arguments)
            raise KeyboardInterrupt

    class Store(ToyStore):
        cache_type = Interrupted

    store = Store()
    world = toy_engine(store=store).create_world("a")
    world.step()
    store.max_latents = 1
    with pytest.raises(KeyboardInterrupt):
        world.save(tmp_path / "a.world")
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_the_error_names_the_path(tmp_path: Path) -> None:
    world = toy_engine().create_world("a")
    with pytest.raises(OutputError, match=r"a\.world' cannot be written: there is no folder '.*missing'"):
        world.save(tmp_path / "missing" / "a.world")
    with pytest.raises(OutputError, match="cannot be written: it is a folder"):
        world.save(tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        world.save(tmp_path / ("a" * 300))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="no ordinary file"):
        world.save(tmp_path / "pipe")


def test_an_older_file_is_replaced_and_a_link_stays_one(tmp_path: Path) -> None:
    world, kept, link = toy_engine().create_world("a"), tmp_path / "kept.world", tmp_path / "link.world"
    world.save(kept)
    link.symlink_to(kept)
    world.step()
    world.save(str(link))
    assert link.is_symlink()
    assert describe(kept).num_blocks == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["kept.world", "link.world"]


def test_a_file_says_what_is_in_it(tmp_path: Path) -> None:
    world = heavy_world(num_mebibytes=1)
    world.save(tmp_path / "a.world")
    found = describe(tmp_path / "a.world")
    assert (found.num_blocks, found.num_frames, found.seconds, found.seed) == (1, 5, 5 / 8, 1)
    assert (found.prompt, found.codec, found.horizon, found.config) == ("a", None, None, None)
    assert found.model == "inferix_core.testing.toys.ToyModel"
    assert found.num_bytes == (tmp_path / "a.world").stat().st_size > 2**20
    assert found.num_page_bytes == world.engine.parts.model.layout.num_layers * 2 * 2 * 8 * 8 * 4
    assert "inferix-core" in found.versions


def test_a_file_is_described_without_a_tensor_library(tmp_path: Path) -> None:
    toy_engine().create_world("a").save(tmp_path / "a.world")
    code = "import sys; from inferix_core.worldfile import describe; print(describe(sys.argv[1]).prompt, *sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "a.world")]
    prompt, *modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert prompt == "a"
    assert not {"torch", "numpy", "safetensors"} & set(modules)
