"""What forking, rewinding, saving and loading a world cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypeVar

import torch

from inferix_core.bench.memory import tensor_bytes
from inferix_core.errors import UnsupportedError
from inferix_core.runtime.engine import Engine
from inferix_core.slabs import num_page_bytes
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.runtime.world import World

Result = TypeVar("Result")

_NUM_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Forks:
    """Milliseconds are medians over repeats; bytes are those of keys and values on the device.

    `num_forked_bytes` is what one fork adds before anything is made, `forked_share` that of the world's own bytes.
    `num_family_bytes` is what the world and all its children take after `num_blocks` blocks each; it is expected to be
    the world's own once and the children's new pages (None where a codec packs pages).
    """

    num_children: int
    num_blocks: int
    fork_milliseconds: float
    fork_all_milliseconds: float
    num_forked_bytes: int
    forked_share: float
    num_family_bytes: int
    num_expected_bytes: int | None


@dataclass(frozen=True, slots=True)
class Rewinds:
    """One block back; `num_journal_bytes` is what a journal of one block keeps of the device beside the world."""

    milliseconds: float
    num_journal_bytes: int


@dataclass(frozen=True, slots=True)
class Files:
    """Saving a world to a temporary folder and loading it again."""

    save_milliseconds: float
    load_milliseconds: float
    num_file_bytes: int


@dataclass(frozen=True, slots=True)
class Operations:
    """A world of `num_latents` latents and what can be done with it; None is what the store or engine cannot do.

    `num_decoder_bytes` is the decoder's state, which forks share until they make a block.
    """

    num_latents: int
    block_milliseconds: float
    num_world_bytes: int
    num_decoder_bytes: int
    forks: Forks | None
    rewinds: Rewinds | None
    files: Files | None


def measure_operations(
    engine: Engine, *, prompt: str | None, num_latents: int, num_children: int, num_blocks: int
) -> Operations:
    """Works on a world of at least `num_latents` latents, as far as the engine's policy keeps them.

    No other world of the engine may be stepped meanwhile; all that is made is closed again.
    """
    plain = _with_journal(engine, 0)
    before = engine.num_kv_bytes
    with plain.create_world(prompt, seed=0) as world:
        block_milliseconds = _grow(world, num_latents)
        return Operations(
            num_latents=len(_held(world)),
            block_milliseconds=block_milliseconds,
            num_world_bytes=engine.num_kv_bytes - before,
            num_decoder_bytes=tensor_bytes(world.state.decoder_state),
            forks=_supported(lambda: _measure_forks(world, num_children=num_children, num_blocks=num_blocks)),
            rewinds=_supported(lambda: _measure_rewinds(world)),
            files=_supported(lambda: _measure_files(world)),
        )


def _measure_forks(world: World, *, num_children: int, num_blocks: int) -> Forks:
    engine = world.engine
    before = engine.num_kv_bytes
    one = [_timed(partial(world.fork, 1), engine) for _ in range(_NUM_REPEATS)]
    num_forked_bytes = (engine.num_kv_bytes - before) // _NUM_REPEATS
    for _, children in one:
        _close(children)
    several = [_timed(partial(world.fork, num_children), engine) for _ in range(_NUM_REPEATS)]
    for _, children in several:
        _close(children)
    children = world.fork(num_children, seeds=range(1, num_children + 1))
    for _ in range(num_blocks):
        for child in children:
            child.step()
    num_family_bytes = engine.num_kv_bytes
    latent_bytes = num_page_bytes(engine.parts.model.layout, dtype=engine.dtype)
    num_new_latents = sum(len(_held(child) - _held(world)) for child in children)
    _close(children)
    return Forks(
        num_children=num_children,
        num_blocks=num_blocks,
        fork_milliseconds=median(milliseconds for milliseconds, _ in one),
        fork_all_milliseconds=median(milliseconds for milliseconds, _ in several),
        num_forked_bytes=num_forked_bytes,
        forked_share=num_forked_bytes / before,
        num_family_bytes=num_family_bytes,
        num_expected_bytes=None if _packs(engine) else before + num_new_latents * latent_bytes,
    )


def _measure_rewinds(parent: World) -> Rewinds:
    """In a fork of `parent` that keeps a journal."""
    engine = _with_journal(parent.engine, 1)
    milliseconds = []
    with engine.world_of(replace(parent.state.fork(), id=engine.next_id())) as world:
        for _ in range(_NUM_REPEATS):
            world.step()
            milliseconds.append(_timed(partial(world.rewind, world.num_blocks - 1), engine)[0])
        world.step()
        num_bytes = engine.num_kv_bytes
        world.journal.close()
        num_journal_bytes = num_bytes - engine.num_kv_bytes
    return Rewinds(median(milliseconds), num_journal_bytes)


def _measure_files(world: World) -> Files:
    save, load = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "world"
        for _ in range(_NUM_REPEATS):
            save.append(_timed(partial(world.save, path), world.engine)[0])
            milliseconds, loaded = _timed(partial(world.engine.load_world, path), world.engine)
            loaded.close()
            load.append(milliseconds)
        num_file_bytes = path.stat().st_size
    return Files(median(save), median(load), num_file_bytes)


def _with_journal(engine: Engine, num_rewind_blocks: int) -> Engine:
    """An engine over the same parts whose worlds keep so many boundaries."""
    return Engine(
        engine.parts,
        engine.decoder,
        num_rewind_blocks=num_rewind_blocks,
        threads=engine.threads,
        config=engine.config,
    )


def _grow(world: World, num_latents: int) -> float:
    """Steps until the world has made so many latents; the median milliseconds of a block after the first."""
    milliseconds, num_made = [], 0
    while num_made < num_latents:
        taken, block = _timed(world.step, world.engine)
        milliseconds.append(taken)
        num_made = block.latents.stop
    return median(milliseconds[1:] or milliseconds)


def _timed(act: Callable[[], Result], engine: Engine) -> tuple[float, Result]:
    """Wall milliseconds, the device's work included, and the result."""
    on_cuda = engine.device.type == "cuda"
    if on_cuda:
        torch.cuda.synchronize(engine.device)
    start = time.perf_counter()
    result = act()
    if on_cuda:
        torch.cuda.synchronize(engine.device)
    return 1000.0 * (time.perf_counter() - start), result


def _supported(measure: Callable[[], Result]) -> Result | None:
    try:
        return measure()
    except UnsupportedError:
        return None


def _close(worlds: list[World]) -> None:
    for world in worlds:
        world.close()


def _held(world: World) -> set[int]:
    return {latent for cache in world.state.caches.values() for latent in cache.held}


def _packs(engine: Engine) -> bool:
    codec = None if engine.config is None else engine.config.selected(Kind.KV_CODEC)
    return codec is not None and "identity" not in codec.component.spec.provides
